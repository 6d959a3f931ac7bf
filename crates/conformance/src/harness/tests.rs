//! That the harness itself tells what happened.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Capabilities, Error, Reply};

use super::run::verdict;
use super::{Case, CaseResult, Context, OpenOptions, Place, Subject, Verdict, cases, require, require_eq};
use crate::reference::{Options, Reference};

cases![
    succeeds,
    fails,
    panics,
    waits_forever,
    blocks_its_thread,
    meets_an_error,
    does_not_apply: NO_TTL + WATCH,
    needs_an_offer: SHORT_LOG,
];

/// Gives up after less than a second.
struct Impatient;

impl Subject for Impatient {
    fn name(&self) -> String {
        "impatient".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::volatile("reference")
    }

    fn open<'a>(&'a self, _: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let store = Reference::open(Arc::clone(&options.clock), Options::default());
        Reply::ready(Arc::new(store) as Arc<dyn Backend>)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(150)
    }
}

async fn succeeds(cx: &Context) -> CaseResult {
    cx.open().await?;
    Ok(())
}

async fn fails(_: &Context) -> CaseResult {
    require_eq!(1 + 1, 3, "arithmetic of {}", 1);
    Ok(())
}

async fn panics(_: &Context) -> CaseResult {
    panic!("on purpose")
}

async fn waits_forever(_: &Context) -> CaseResult {
    std::future::pending().await
}

async fn blocks_its_thread(_: &Context) -> CaseResult {
    std::thread::sleep(Duration::from_secs(2));
    Ok(())
}

async fn meets_an_error(_: &Context) -> CaseResult {
    require!(line!() > 0, "this is line 1 or later");
    Err(Error::closed())?;
    Ok(())
}

async fn does_not_apply(_: &Context) -> CaseResult {
    panic!("an ignored case was run")
}

async fn needs_an_offer(_: &Context) -> CaseResult {
    panic!("an ignored case was run")
}

fn ended(name: &str) -> Verdict {
    let subject: Arc<dyn Subject> = Arc::new(Impatient);
    let case: &Case = CASES.iter().find(|case| case.name == name).unwrap();
    verdict(&subject, case)
}

fn failed(name: &str) -> String {
    match ended(name) {
        Verdict::Failed(message) => message,
        other => panic!("{name} ended as {other:?}"),
    }
}

#[test]
fn good_case_passes() {
    assert_eq!(ended("succeeds"), Verdict::Passed);
}

#[test]
fn failure_tells_what_was_found_and_where() {
    let message = failed("fails");
    for part in ["arithmetic of 1", "found:    2", "expected: 3", "tests.rs:"] {
        assert!(message.contains(part), "{part:?} in {message:?}");
    }
}

#[test]
fn panic_is_a_failure() {
    assert!(failed("panics").contains("on purpose"));
}

#[test]
fn endless_case_is_a_failure() {
    assert!(failed("waits_forever").contains("did not end within"));
    assert!(failed("blocks_its_thread").contains("did not end within"));
}

#[test]
fn unexpected_error_tells_its_kind_and_the_line_of_the_case() {
    let message = failed("meets_an_error");
    assert!(message.contains("kind closed"), "{message:?}");
    assert!(message.contains("harness/tests.rs:"), "{message:?}");
}

#[test]
fn case_that_does_not_apply_is_ignored_with_its_reason() {
    assert_eq!(
        ended("does_not_apply"),
        Verdict::Ignored("declares deadlines".to_owned())
    );
    assert_eq!(
        ended("needs_an_offer"),
        Verdict::Ignored("subject does not offer a short change log".to_owned())
    );
}

#[test]
fn names_of_cases_are_unique() {
    let mut names: Vec<_> = crate::cases::GROUPS
        .iter()
        .flat_map(|group| group.cases.iter().map(move |case| (group.name, case.name)))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(all >= 324, "cases were lost: {all}");
}
