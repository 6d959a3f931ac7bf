//! `stead`: durable state from a shell.

mod args;
mod commands;
mod encode;
mod exit;
mod fields;
mod interrupt;
mod json;
mod lines;
mod output;
mod progress;
mod record;
mod sorted;
mod store;
mod usage;
mod value;

use std::process::ExitCode;

use crate::exit::{Exit, Failure};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match usage::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let as_json = cli.json;
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(cli));
            // A thread may still wait for stdin, and nobody for that thread.
            runtime.shutdown_background();
            result
        }
        Err(cause) => Err(Failure::from(
            stead::Error::unavailable("the system gives no threads to run on").because(cause),
        )),
    };
    match result {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            failure.report(as_json);
            failure.exit().into()
        }
    }
}
