//! The commands.

pub(crate) mod apply;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod set;
pub(crate) mod shell;
pub(crate) mod watch;

use crate::args::{Cli, Command};
use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::store::{self, Purpose, Store};

/// What a command works with.
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
}

/// Runs a command to its end.
pub(crate) async fn run(cli: Cli) -> Result<()> {
    let output = Output::new(cli.json);
    match cli.command {
        Command::Completions(command) => command.run(output),
        Command::Man(command) => command.run(output),
        Command::Demo(command) => demo::run(&command, output, Interrupt::listen()).await,
        command => {
            let url = store::which(cli.store.as_deref())?;
            let interrupt = Interrupt::listen();
            let store = store::open(&url, purpose(&command)).await?;
            let mut session = Session {
                store: store.clone(),
                output,
                interrupt,
            };
            let result = with_store(command, &mut session).await;
            // What was printed is printed, whatever came after it.
            let flushed = session.output.flush();
            drop(session);
            let closed = store.backend.close().await;
            result.and(flushed).and(closed.map_err(Failure::from))
        }
    }
}

fn purpose(command: &Command) -> Purpose {
    match command {
        Command::Get(_)
        | Command::List(_)
        | Command::Count(_)
        | Command::Scopes(_)
        | Command::Watch(_)
        | Command::Export(_)
        | Command::Stats(_)
        | Command::Check(_) => Purpose::Read,
        _ => Purpose::Write,
    }
}

async fn with_store(command: Command, session: &mut Session) -> Result<()> {
    let interrupt = session.interrupt.clone();
    match command {
        // These end by themselves when they are interrupted, at a point that suits them.
        Command::Apply(command) => apply::run(&command, session).await,
        Command::Import(command) => import::run(&command, session).await,
        Command::Export(command) => export::run(&command, session).await,
        Command::Watch(command) => watch::run(&command, session).await,
        // These can be left at any point: each of their writes is one batch.
        command => tokio::select! {
            result = at_once(command, session) => result,
            () = interrupt.raised() => Err(Failure::Interrupted(None)),
        },
    }
}

async fn at_once(command: Command, session: &mut Session) -> Result<()> {
    match command {
        Command::Set(command) => set::run(command, session).await,
        Command::Get(command) => get::run(&command, session).await,
        Command::Delete(command) => change::delete(&command, session).await,
        Command::Touch(command) => change::touch(&command, session).await,
        Command::Incr(command) => change::incr(&command, session).await,
        Command::List(command) => list::list(&command, session).await,
        Command::Count(command) => list::count(&command, session).await,
        Command::Scopes(_) => list::scopes(session).await,
        Command::Stats(_) => check::stats(session).await,
        Command::Check(_) => check::check(session).await,
        Command::Apply(_)
        | Command::Import(_)
        | Command::Export(_)
        | Command::Watch(_)
        | Command::Demo(_)
        | Command::Completions(_)
        | Command::Man(_) => Err(stead::Error::internal("the command was sent the wrong way").into()),
    }
}
