//! Running cases.

use std::any::Any;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

use crate::cases::GROUPS;
use crate::harness::need::first_unmet;
use crate::harness::{Case, CaseResult, Context, Failure, Subject};

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The subject behaves.
    Passed,
    /// The subject does not, with what was found.
    Failed(String),
    /// The case says nothing about this subject, with the reason.
    Ignored(String),
}

/// Runs every case on every subject, with the command line of a test target. The `main` of a `harness = false` target.
#[must_use]
pub fn main(subjects: Vec<Arc<dyn Subject>>) -> ExitCode {
    run(&Arguments::from_args(), subjects).exit_code()
}

/// Runs the cases that `arguments` ask for on every subject, and prints how they end.
pub fn run(arguments: &Arguments, subjects: Vec<Arc<dyn Subject>>) -> Conclusion {
    let mut arguments = arguments.clone();
    // Many cases wait for a sweep or for an event rather than work.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let trials = subjects
        .into_iter()
        .flat_map(|subject| cases().map(move |(group, case)| trial(Arc::clone(&subject), group, case)));
    libtest_mimic::run(&arguments, trials.collect())
}

/// Runs the cases whose name (`group::case`) `wanted` picks, one after the other, and tells how each ended: for those who
/// test the suite itself.
pub fn verdicts(subject: &Arc<dyn Subject>, wanted: impl Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    cases()
        .map(|(group, case)| (format!("{group}::{}", case.name), case))
        .filter(|(name, _)| wanted(name))
        .map(|(name, case)| (name, verdict(subject, case)))
        .collect()
}

fn cases() -> impl Iterator<Item = (&'static str, &'static Case)> {
    GROUPS
        .iter()
        .flat_map(|group| group.cases.iter().map(move |case| (group.name, case)))
}

fn trial(subject: Arc<dyn Subject>, group: &str, case: &'static Case) -> Trial {
    let name = format!("{}::{group}::{}", subject.name(), case.name);
    let unmet = first_unmet(case.needs, &*subject);
    let kind = unmet.clone().unwrap_or_default();
    let is_ignored = unmet.is_some();
    // A case that does not apply stays ignored even when ignored ones are asked for: it could only mislead.
    let runner = move || match verdict(&subject, case) {
        Verdict::Passed => Ok(Completion::Completed),
        Verdict::Failed(message) => Err(Failed::from(message)),
        Verdict::Ignored(reason) => Ok(Completion::ignored_with(reason)),
    };
    Trial::ignorable_test(name, runner)
        .with_kind(kind)
        .with_ignored_flag(is_ignored)
}

/// Runs one case, if it applies.
pub(super) fn verdict(subject: &Arc<dyn Subject>, case: &Case) -> Verdict {
    if let Some(reason) = first_unmet(case.needs, &**subject) {
        return Verdict::Ignored(reason);
    }
    match run_alone(subject, case) {
        Ok(()) => Verdict::Passed,
        Err(failure) => Verdict::Failed(failure.to_string()),
    }
}

/// Runs a case on a runtime of its own. It is a task there, so that one that blocks its thread for good is told too.
fn run_alone(subject: &Arc<dyn Subject>, case: &Case) -> CaseResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let limit = subject.patience() * 6;
    let cx = Context::new(Arc::clone(subject), case.name)?;
    let ended = runtime.block_on(async {
        let task = tokio::spawn((case.run)(cx));
        tokio::time::timeout(limit, task).await
    });
    runtime.shutdown_background();
    match ended {
        Ok(Ok(result)) => result,
        Ok(Err(panicked)) => Err(Failure::new(panic_message(panicked))),
        Err(_) => Err(Failure::new(format!(
            "the case did not end within {} seconds: something waits for what never comes",
            limit.as_secs_f32()
        ))),
    }
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else {
        return "the case was cancelled".to_owned();
    };
    let payload: &(dyn Any + Send) = &*payload;
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    format!("the case panicked: {}", message.unwrap_or("without a message"))
}
