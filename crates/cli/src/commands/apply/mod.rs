//! `stead apply`.
//!
//! Lines are handed to the store as they come, and answered in their order, each once it is durable. Many are under way
//! at a time, so that the store commits them in groups.

mod answer;
mod incr;
mod op;

use std::io;

use clap::Args;
use stead::Error;
use stead::core::{Backend, Expect, Limits, Outcome, Reply};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use self::answer::Answer;
use self::op::Request;
use super::Session;
use crate::exit::{Exit, Failure, Result};
use crate::interrupt::Interrupt;
use crate::lines::{self, Line};
use crate::printer::Printer;

/// Write what the lines of JSON on stdin ask for
///
/// A line is {"op":"set|delete|incr|touch|check","scope":..,"key":..,"value":..,"ttl":..}, or
/// {"op":"batch","ops":[..]} for several that happen together or not at all. "expect" is "absent", "present" or a
/// revision, and must hold of the key or nothing is written. "ttl" is as in "5m"; incr takes "by".
///
/// Each line is answered in its turn by one line on stdout, once its write is durable: {"line":N,"revision":R},
/// {"line":N,"conflict":{..}} or {"line":N,"error":{..}}. A line that is wrong does not keep those behind it from
/// happening. Exits with 0 if every line committed, with 3 if a line met a conflict, with 2 if a line was wrong; a store
/// that fails ends everything with 4 or 5.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// At most this many lines under way at a time
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
}

pub(crate) async fn run(apply: &Apply, session: &mut Session) -> Result<()> {
    let backend = &*session.store.backend;
    let limits = backend.capabilities().limits;
    let lines = lines::read(io::stdin(), lines::longest(&limits))?;
    let (submitted, answering) = mpsc::channel(usize::from(apply.window));
    let submitter = Submitter {
        backend,
        limits,
        submitted,
    };
    let printer = session.output.printer();
    let stuck = printer.stuck(&session.interrupt);
    let counted = tokio::select! {
        biased;
        counted = async {
            let ((), counted) = tokio::join!(
                submitter.run(lines, &session.interrupt),
                answer_all(answering, printer)
            );
            counted
        } => Some(counted),
        () = stuck => None,
    };
    let answered = session.output.printer().written();
    let Some((tally, printed)) = counted else {
        let note = format!(
            "nobody reads the answers; {answered} lines were answered, and what was not answered may have been written"
        );
        return Err(Failure::Interrupted(Some(note)));
    };
    if let Some(error) = tally.fatal {
        return Err(error.into());
    }
    printed.map_err(|failure| unread(failure, answered))?;
    if session.interrupt.is_raised() {
        let note = format!(
            "{} lines were answered; what was not answered was not written",
            tally.lines
        );
        return Err(Failure::Interrupted(Some(note)));
    }
    tally.result()
}

/// A line that was handed over, or whatever else waits for its turn to be answered.
enum Submitted<'a> {
    Batch {
        number: u64,
        is_batch: bool,
        reply: Reply<'a, Outcome>,
        origins: Vec<(usize, Expect)>,
        _share: OwnedSemaphorePermit,
    },
    Answered {
        number: u64,
        is_batch: bool,
        answer: Answer,
    },
    /// Says so once everything before it is answered.
    Barrier(oneshot::Sender<()>),
}

/// Hands lines over.
struct Submitter<'a> {
    backend: &'a dyn Backend,
    limits: Limits,
    /// Closed once nothing that follows can fare better.
    submitted: mpsc::Sender<Submitted<'a>>,
}

impl<'a> Submitter<'a> {
    async fn run(self, mut lines: mpsc::Receiver<Line>, interrupt: &Interrupt) {
        loop {
            let line = tokio::select! {
                biased;
                () = interrupt.raised() => return,
                () = self.submitted.closed() => return,
                line = lines.recv() => line,
            };
            let Some(line) = line else {
                return;
            };
            let Some(submitted) = self.submit(line).await else {
                return;
            };
            if self.submitted.send(submitted).await.is_err() {
                return;
            }
        }
    }

    /// `None` when it is over.
    async fn submit(&self, line: Line) -> Option<Submitted<'a>> {
        let number = line.number;
        let parsed = line.text.and_then(|text| Request::parse(&text, &self.limits));
        let request = match parsed {
            Ok(request) => request,
            Err(error) => {
                return Some(Submitted::Answered {
                    number,
                    is_batch: false,
                    answer: Answer::Failed(error),
                });
            }
        };
        let is_batch = request.is_batch;
        if request.reads() {
            self.wait_for_those_before().await?;
        }
        if request.reads() && !request.ops.iter().all(|op| matches!(op.act, op::Act::Check)) {
            let answer = incr::run(&request, self.backend, &self.limits).await;
            return Some(Submitted::Answered {
                number,
                is_batch,
                answer: answer.unwrap_or_else(Answer::Failed),
            });
        }
        let planned = request.plan();
        Some(Submitted::Batch {
            number,
            is_batch,
            // Handed over by this call, in the order of the lines.
            reply: self.backend.apply(planned.batch),
            origins: planned.origins,
            _share: line.share,
        })
    }

    async fn wait_for_those_before(&self) -> Option<()> {
        let (reached, here) = oneshot::channel();
        self.submitted.send(Submitted::Barrier(reached)).await.ok()?;
        here.await.ok()?;
        (!self.submitted.is_closed()).then_some(())
    }
}

/// How the lines ended.
#[derive(Default)]
struct Tally {
    lines: u64,
    conflicts: u64,
    refused: u64,
    first_conflict: Option<u64>,
    first_refused: Option<u64>,
    fatal: Option<Error>,
}

impl Tally {
    fn count(&mut self, number: u64, answer: Answer) {
        self.lines += 1;
        let fatal = answer.is_fatal();
        match answer {
            Answer::Committed { .. } => {}
            Answer::Rejected { .. } => {
                self.conflicts += 1;
                self.first_conflict.get_or_insert(number);
            }
            Answer::Failed(error) if fatal => {
                self.fatal.get_or_insert_with(|| error.with("line", number));
            }
            Answer::Failed(error) if Exit::of(error.kind()) == Exit::Conflict => {
                self.conflicts += 1;
                self.first_conflict.get_or_insert(number);
            }
            Answer::Failed(_) => {
                self.refused += 1;
                self.first_refused.get_or_insert(number);
            }
        }
    }

    fn result(self) -> Result<()> {
        let (error, first) = match (self.first_refused, self.first_conflict) {
            (None, None) => return Ok(()),
            (Some(first), _) => {
                let error = Error::invalid("some lines were refused; their answers say why");
                (error.with("refused_lines", self.refused), first)
            }
            (None, Some(first)) => {
                let error = Error::conflict("some lines met a conflict; their answers say which");
                (error.with("rejected_lines", self.conflicts), first)
            }
        };
        Err(error.with("lines", self.lines).with("first", first).into())
    }
}

/// The failure to print an answer.
fn unread(failure: Failure, answered: u64) -> Failure {
    match failure {
        Failure::Unread => {
            let error = Error::unavailable(
                "nobody reads the answers any more, so no further lines were read; what was not answered may have been \
                 written",
            );
            error.with("answered_lines", answered).into()
        }
        failure => failure,
    }
}

/// Answers the lines in their order.
async fn answer_all(
    mut answering: mpsc::Receiver<Submitted<'_>>,
    printer: &mut Printer,
) -> (Tally, Result<()>) {
    let mut tally = Tally::default();
    while let Some(submitted) = answering.recv().await {
        let (number, is_batch, answer) = match submitted {
            Submitted::Barrier(reached) => {
                // Where nobody waits any more, it does not matter.
                let _ = reached.send(());
                continue;
            }
            Submitted::Answered {
                number,
                is_batch,
                answer,
            } => (number, is_batch, answer),
            Submitted::Batch {
                number,
                is_batch,
                reply,
                origins,
                _share,
            } => {
                let answer = match reply.await {
                    Ok(Outcome::Committed(revision)) => Answer::Committed {
                        revision,
                        values: Vec::new(),
                    },
                    Ok(Outcome::Rejected(conflict)) => Answer::Rejected {
                        origin: origins.get(conflict.precondition).copied(),
                        conflict,
                    },
                    Err(error) => Answer::Failed(error),
                };
                (number, is_batch, answer)
            }
        };
        // What was handed over is answered to the end; nothing more is.
        if answer.is_fatal() {
            answering.close();
        }
        let mut line = answer.line(number, is_batch).into_bytes();
        line.push(b'\n');
        if let Err(failure) = printer.print(&mut line).await {
            return (tally, Err(failure));
        }
        tally.count(number, answer);
    }
    let flushed = printer.flush().await;
    (tally, flushed)
}
