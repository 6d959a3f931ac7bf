//! The stores on servers beside a bare client of the same server, and what a partition costs on each.
//!
//! The servers are private ones, started for the run: a Redis that syncs each write, a Cluster of three such masters and
//! their replicas, and a PostgreSQL as it comes. Both sides talk to the same server by TCP on loopback.

mod compare;
mod data;
mod postgres;
mod redis;
mod scale;
mod side;
mod start;
#[cfg(test)]
mod tests;

pub(crate) use compare::run;
pub(crate) use scale::run as scale;
pub(crate) use start::SERVERS;
