//! The cases, one file for each group.

mod batches;
mod capabilities;
mod change_log;
mod closing;
mod concurrency;
mod deadlines;
mod expiry;
mod isolation;
mod limits;
mod oracles;
mod paging;
mod preconditions;
mod raising;
mod requests;
mod restart;
mod scans;
mod snapshots;
mod sweeping;
mod transactions;
mod values;
mod watchers;
mod watching;

use crate::harness::{Case, Group};

/// Every case of the suite.
pub(crate) const GROUPS: &[Group] = &[
    group("values", values::CASES),
    group("batches", batches::CASES),
    group("preconditions", preconditions::CASES),
    group("concurrency", concurrency::CASES),
    group("transactions", transactions::CASES),
    group("expiry", expiry::CASES),
    group("deadlines", deadlines::CASES),
    group("sweeping", sweeping::CASES),
    group("scans", scans::CASES),
    group("paging", paging::CASES),
    group("isolation", isolation::CASES),
    group("snapshots", snapshots::CASES),
    group("watching", watching::CASES),
    group("watchers", watchers::CASES),
    group("change_log", change_log::CASES),
    group("requests", requests::CASES),
    group("raising", raising::CASES),
    group("restart", restart::CASES),
    group("closing", closing::CASES),
    group("limits", limits::CASES),
    group("capabilities", capabilities::CASES),
    group("oracles", oracles::CASES),
];

const fn group(name: &'static str, cases: &'static [Case]) -> Group {
    Group { name, cases }
}
