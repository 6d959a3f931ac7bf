//! Oracles: what a store does is compared with what it should have done.
//!
//! - [`check_model`] runs random sequences of operations on a store and on a model of the contract over a `BTreeMap`,
//!   demands equal results and equal kinds of errors, and shrinks a sequence that shows a difference.
//! - [`check_histories`] runs tasks at the same time, records what they asked and what they were told, and demands that
//!   the answers could have come from one after the other: [`linear::check`] decides.
//! - [`check_faulty`] does so over connections that break, on stores whose change log tells what became of the writes
//!   that nobody was told the outcome of: [`ordered::check`] decides.
//!
//! The first two open a fresh store for each run, through a closure that gives a [`Stand`], and block the calling thread, which
//! must not be one that drives async tasks; inside a runtime call them from `spawn_blocking`.
//!
//! ```
//! use stead_conformance::oracle::{Effort, Stand, check_model};
//! use stead_conformance::reference::{Options, Reference};
//! use std::{sync::Arc, time::Duration};
//!
//! let effort = Effort::default().with_cases(4).with_operations(20);
//! let options = Options::default().with_sweep_interval(Duration::from_millis(1));
//! check_model(&|clock| Ok(Stand::new(Arc::new(Reference::open(clock, options.clone())))), &effort)?;
//! # Ok::<(), String>(())
//! ```

mod careless;
mod faulty;
pub mod history;
pub mod linear;
mod marks;
mod model;
pub mod ordered;
mod record;
mod stand;

pub use careless::{Careless, Manner};
pub use faulty::{Clients, Recorded, check_faulty};
pub use model::check_model;
pub use record::check_histories;
pub use stand::{Effort, Stand};
