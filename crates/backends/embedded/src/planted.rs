//! The defects that the fault laboratory plants here, to show that the tests notice each; `cargo xtask crash planted`
//! lists them.
//!
//! They exist only in builds with `--cfg stead_planted`; in every other build all of this is constant and empty, and
//! nothing of it is left in the program. Most are a condition at the place that they spoil. Those that take more than a
//! condition are here.

#[cfg(stead_planted)]
pub(crate) use on::{announce, forget_requests, split};
#[cfg(stead_planted)]
pub(crate) use stead_core::planted::planted;

#[cfg(not(stead_planted))]
pub(crate) use off::{announce, forget_requests, planted, split};

#[cfg(not(stead_planted))]
mod off {
    use stead_core::{ChangeSet, Result};

    use crate::format::Header;
    use crate::group::Group;
    use crate::shared::Shared;
    use crate::{Engine, WriteSet};

    /// No defect is on.
    #[inline(always)]
    pub(crate) const fn planted(_name: &str) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn announce<E: Engine>(_shared: &Shared<E>, _group: &Group<E::View>) {}

    #[inline(always)]
    pub(crate) const fn split(_set: &mut ChangeSet) -> Option<ChangeSet> {
        None
    }

    #[inline(always)]
    pub(crate) fn forget_requests<E: Engine>(_: &E, _: &mut Header, _: &mut WriteSet) -> Result<()> {
        Ok(())
    }
}

#[cfg(stead_planted)]
mod on {
    use std::ops::ControlFlow;

    use stead_core::{ChangeSet, Direction, Result};

    use super::planted;
    use crate::format::{Header, ORDER_PREFIX, REQUEST_PREFIX};
    use crate::group::Group;
    use crate::shared::Shared;
    use crate::{Engine, Keyspace, View, WriteSet};

    /// Tells watchers of a group that is not committed yet.
    pub(crate) fn announce<E: Engine>(shared: &Shared<E>, group: &Group<E::View>) {
        if planted("publish-early") {
            shared.ring.lock().push(group.sets.clone());
            shared.current.write().revision = group.header.revision;
            shared.signal.notify();
        }
    }

    /// Cuts the second half of a change set off.
    pub(crate) fn split(set: &mut ChangeSet) -> Option<ChangeSet> {
        let cut = planted("batch-split") && set.changes.len() > 1;
        cut.then(|| ChangeSet {
            revision: set.revision,
            changes: set.changes.split_off(set.changes.len() / 2),
        })
    }

    /// Forgets every request id.
    pub(crate) fn forget_requests<E: Engine>(
        engine: &E,
        header: &mut Header,
        writes: &mut WriteSet,
    ) -> Result<()> {
        if !planted("requests-lost") {
            return Ok(());
        }
        header.first_request = header.next_request;
        let view = engine.view()?;
        view.scan(Keyspace::Meta, &[], None, Direction::Forward, &mut |key, _| {
            if matches!(key.first(), Some(&(ORDER_PREFIX | REQUEST_PREFIX))) {
                writes.delete(Keyspace::Meta, key.to_vec());
            }
            ControlFlow::Continue(())
        })
    }
}
