//! Running the cases as the tests of a target.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use crate::{TestedEngine, closing, directories, format, opening, reading, staging, urls};

/// One behaviour of an engine.
pub(crate) struct Case {
    name: &'static str,
    run: fn(),
    ignored: Option<&'static str>,
}

impl Case {
    pub(crate) fn new(name: &'static str, run: fn()) -> Self {
        Case {
            name,
            run,
            ignored: None,
        }
    }

    /// Says nothing about an engine for which `applies` is not so.
    pub(crate) fn only_if(mut self, applies: bool, otherwise: &'static str) -> Self {
        if !applies {
            self.ignored = Some(otherwise);
        }
        self
    }

    fn trial(self, group: &str) -> Trial {
        let Case { name, run, ignored } = self;
        let runner = move || match ignored {
            None => {
                run();
                Ok(Completion::Completed)
            }
            // It stays ignored even when ignored ones are asked for: it could only mislead.
            Some(reason) => Ok(Completion::ignored_with(reason)),
        };
        Trial::ignorable_test(format!("{group}::{name}"), runner)
            .with_kind(ignored.unwrap_or_default())
            .with_ignored_flag(ignored.is_some())
    }
}

/// Makes the `cases` of a file out of its functions. One that is not named here is dead code, and the compiler says so.
macro_rules! cases {
    ($($name:ident $(if $applies:expr, else $otherwise:expr)?),* $(,)?) => {
        pub(crate) fn cases<E: $crate::TestedEngine>() -> Vec<$crate::run::Case> {
            vec![$(
                $crate::run::Case::new(stringify!($name), $name::<E>)$(.only_if($applies, $otherwise))?,
            )*]
        }
    };
}

pub(crate) use cases;

/// Runs every case on an engine, with the command line of a test target. The `main` of a `harness = false` target.
#[must_use]
pub fn files<E: TestedEngine>() -> ExitCode {
    let groups = [
        ("opening", opening::cases::<E>()),
        ("directories", directories::cases::<E>()),
        ("reading", reading::cases::<E>()),
        ("closing", closing::cases::<E>()),
        ("staging", staging::cases::<E>()),
        ("urls", urls::cases::<E>()),
        ("format", format::cases::<E>()),
    ];
    let trials = groups
        .into_iter()
        .flat_map(|(group, cases)| cases.into_iter().map(move |case| case.trial(group)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
