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
mod printer;
mod progress;
mod record;
mod sorted;
mod store;
mod usage;
mod value;

use std::process::ExitCode;

use crate::exit::Exit;

/// The sources of the engines.
const ENGINES: [&str; 4] = ["/fjall-", "/lsm-tree-", "/redb-", "/sled-"];

/// A damaged file can make an engine panic. The store catches that and gives an error, which is what users read; what the
/// hook would print before it is noise, and breaks `--json`. A panic of anybody else is a bug and is shown.
fn quiet_caught_panics() {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |place| place.file());
        if !ENGINES.iter().any(|engine| file.contains(engine)) {
            shown(panic);
        }
    }));
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quiet_caught_panics();
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
    let exit = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(cli));
            // Until it is said how it ended, a second Ctrl-C has to be heard: stderr may be blocked, too.
            let exit = end(result, as_json);
            // A thread may still wait for stdin or stdout, and nobody for that thread.
            runtime.shutdown_background();
            exit
        }
        Err(cause) => {
            let error = stead::Error::unavailable("the system gives no threads to run on").because(cause);
            end(Err(error.into()), as_json)
        }
    };
    exit.into()
}

/// Says what went wrong, if anything did.
fn end(result: exit::Result<()>, as_json: bool) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(failure) => {
            failure.report(as_json);
            failure.exit()
        }
    }
}
