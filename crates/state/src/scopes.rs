//! Which scopes hold anything.

use std::collections::BTreeSet;

use stead_core::{Backend, KeyRange, ReadExt, Result, Scan};

use crate::StateScope;
use crate::inner::Inner;
use crate::place::{Place, scope_of};

impl Inner {
    /// The scopes that hold a value, in the order of the store, behind `after`, at most `limit`.
    pub(crate) async fn scopes(&self, after: Option<&StateScope>, limit: usize) -> Result<Vec<StateScope>> {
        let range = match after {
            Some(scope) => KeyRange::all().after(&Place::of(scope)?.above()?),
            None => KeyRange::all(),
        };
        let mut found = scopes_in(&*self.store, range.clone(), limit).await?;
        if let Some(ephemeral) = &self.ephemeral {
            found.extend(scopes_in(&*ephemeral.store, range, limit).await?);
        }
        Ok(found
            .into_iter()
            .take(limit)
            .map(|Found { scope, .. }| scope)
            .collect())
    }
}

/// A scope, sorted as the store sorts its keys.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    place: Vec<u8>,
    scope: StateScope,
}

/// One short scan for each scope, whatever it holds. A partition that holds what is not a scope's is skipped from there
/// on: it belongs to somebody else.
async fn scopes_in(store: &dyn Backend, mut rest: KeyRange, limit: usize) -> Result<BTreeSet<Found>> {
    let mut found = BTreeSet::new();
    while found.len() < limit && !rest.is_empty() {
        let scan = Scan::new(rest.clone()).keys_only().limit(1).page_size(1);
        let Some(first) = store.collect(&scan).await?.pop() else {
            break;
        };
        match scope_of(&first.key) {
            Ok(scope) => {
                let place = Place::of(&scope)?;
                rest = rest.after(&place.above()?);
                let place = place.range("")?.start().to_vec();
                found.insert(Found { place, scope });
            }
            Err(_) => rest = rest.after_partition(&first.key.partition()),
        }
    }
    Ok(found)
}
