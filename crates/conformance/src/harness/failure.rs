//! How a case fails.

use std::fmt;
use std::panic::Location;

use stead_core::Error;

/// Why a case failed, and the line that found out.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    at: &'static Location<'static>,
}

/// What a step of a case gives.
pub(crate) type CaseResult<T = ()> = Result<T, Failure>;

impl Failure {
    #[track_caller]
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::at(Location::caller(), message)
    }

    pub(crate) fn at(at: &'static Location<'static>, message: impl Into<String>) -> Self {
        let message = message.into();
        Failure { message, at }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}:{}", self.message, self.at.file(), self.at.line())
    }
}

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        Failure::new(format!("unexpected error of kind {}: {error}", error.kind()))
    }
}

impl From<std::io::Error> for Failure {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Failure::new(format!("unexpected i/o error: {error}"))
    }
}

impl From<tokio::task::JoinError> for Failure {
    #[track_caller]
    fn from(error: tokio::task::JoinError) -> Self {
        Failure::new(format!("a task of the case ended badly: {error}"))
    }
}

/// Fails the case unless the condition holds; the rest says what should have held.
macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::harness::Failure::new(format!($($message)+)));
        }
    };
}

/// Fails the case unless both sides are equal; the rest says what should have held.
macro_rules! require_eq {
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    return Err($crate::harness::Failure::new(format!(
                        "{}\n  found:    {left:?}\n  expected: {right:?}",
                        format_args!($($message)+)
                    )));
                }
            }
        }
    };
}

/// Fails the case unless the value matches the pattern; the rest says what should have been.
macro_rules! require_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?, $($message:tt)+) => {
        match &$value {
            $pattern $(if $guard)? => {}
            other => {
                return Err($crate::harness::Failure::new(format!(
                    "{}\n  found:    {other:?}\n  expected: {}",
                    format_args!($($message)+),
                    stringify!($pattern),
                )));
            }
        }
    };
}

pub(crate) use {require, require_eq, require_matches};
