//! The commands.

pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod copy;
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
use crate::value::Given;

/// What a command works with.
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
}

/// Runs a command to its end.
pub(crate) async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Backup(command) => {
            let output = Output::new(cli.json)?;
            backup::run(&command, cli.store.as_deref(), output, Interrupt::listen()).await
        }
        Command::Copy(command) => copy::run(&command, Output::new(cli.json)?, Interrupt::listen()).await,
        Command::Demo(command) => demo::run(&command, Output::new(cli.json)?, Interrupt::listen()).await,
        command => {
            let url = store::which(cli.store.as_deref())?;
            let output = Output::new(cli.json)?;
            let interrupt = Interrupt::listen();
            let purpose = purpose(&command);
            let ready = tokio::select! {
                ready = prepare(command) => ready?,
                () = interrupt.raised() => return Err(Failure::Interrupted(None)),
            };
            let store = store::open(&url, purpose).await?;
            let mut session = Session {
                store: store.clone(),
                output,
                interrupt,
            };
            let result = with_store(ready, &mut session).await;
            // What was printed is printed, whatever came after it.
            let flushed = session.output.finish(&session.interrupt).await;
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
        | Command::Delete(_)
        | Command::Touch(_)
        | Command::Count(_)
        | Command::Scopes(_)
        | Command::Watch(_)
        | Command::Export(_)
        | Command::Stats(_)
        | Command::Check(_) => Purpose::Find,
        _ => Purpose::Make,
    }
}

/// A command that has what it wants from outside the store.
enum Ready {
    Set(set::Set, Given),
    Import(import::Import, import::Source),
    Other(Command),
}

/// Fetches what a command needs besides the store. Where that fails, no store is made.
async fn prepare(command: Command) -> Result<Ready> {
    Ok(match command {
        Command::Set(mut command) => {
            let given = set::read(&mut command).await?;
            Ready::Set(command, given)
        }
        Command::Import(command) => {
            let source = import::open(&command)?;
            Ready::Import(command, source)
        }
        command => Ready::Other(command),
    })
}

async fn with_store(ready: Ready, session: &mut Session) -> Result<()> {
    let interrupt = session.interrupt.clone();
    match ready {
        // These end by themselves when they are interrupted, at a point that suits them.
        Ready::Other(Command::Apply(command)) => apply::run(&command, session).await,
        Ready::Import(command, source) => import::run(&command, source, session).await,
        Ready::Other(Command::Export(command)) => export::run(&command, session).await,
        Ready::Other(Command::Watch(command)) => watch::run(&command, session).await,
        // These can be left at any point: each of their writes is one batch.
        Ready::Set(command, given) => tokio::select! {
            result = set::run(&command, &given, session) => result,
            () = interrupt.raised() => Err(Failure::Interrupted(None)),
        },
        Ready::Other(command) => tokio::select! {
            result = at_once(command, session) => result,
            () = interrupt.raised() => Err(Failure::Interrupted(None)),
        },
    }
}

async fn at_once(command: Command, session: &mut Session) -> Result<()> {
    match command {
        Command::Get(command) => get::run(&command, session).await,
        Command::Delete(command) => change::delete(&command, session).await,
        Command::Touch(command) => change::touch(&command, session).await,
        Command::Incr(command) => change::incr(&command, session).await,
        Command::List(command) => list::list(&command, session).await,
        Command::Count(command) => list::count(&command, session).await,
        Command::Scopes(_) => list::scopes(session).await,
        Command::Stats(_) => check::stats(session).await,
        Command::Check(_) => check::check(session).await,
        Command::Set(_)
        | Command::Apply(_)
        | Command::Import(_)
        | Command::Export(_)
        | Command::Watch(_)
        | Command::Backup(_)
        | Command::Copy(_)
        | Command::Demo(_)
        | Command::Completions(_)
        | Command::Man(_) => Err(stead::Error::internal("the command was sent the wrong way").into()),
    }
}
