//! One named case.

use std::future::Future;
use std::pin::Pin;

use crate::harness::{CaseResult, Context, Need};

pub(crate) type CaseFuture = Pin<Box<dyn Future<Output = CaseResult> + Send>>;

/// One behaviour and how it is shown.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(Context) -> CaseFuture,
}

/// Cases that are about the same thing.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) cases: &'static [Case],
}

/// Makes the `CASES` of a file out of its functions. One that is not named here is dead code, and the compiler says so.
///
/// ```text
/// cases![first_case, second_case: TTL + WATCH];
/// ```
macro_rules! cases {
    ($($name:ident $(: $need:ident $(+ $more:ident)*)?),* $(,)?) => {
        pub(crate) const CASES: &[$crate::harness::Case] = &[$(
            $crate::harness::Case {
                name: stringify!($name),
                needs: &[$($crate::harness::needs::$need, $($crate::harness::needs::$more,)*)?],
                run: |cx| Box::pin(async move { $name(&cx).await }),
            },
        )*];
    };
}

pub(crate) use cases;
