//! What is refused before a backend looks at it.

use crate::{
    Capabilities, Direction, Error, Expiry, Extent, Key, KeyRange, Mutation, Precondition, Result, Scan,
    WatchSpec, WriteBatch,
};

/// Refuses a batch that asks for what `capabilities` does not declare, or that is too large.
///
/// # Errors
///
/// `Unsupported` or `Invalid`; nothing was written.
#[inline]
pub fn admit(capabilities: &Capabilities, batch: &WriteBatch) -> Result<()> {
    if !capabilities.writable && !batch.mutations().is_empty() {
        return Err(Error::unsupported("the store is open for reading only"));
    }
    capabilities.limits.check_batch(batch)?;
    if !capabilities.request_ids && batch.id().is_some() {
        return Err(undeclared(capabilities, "request ids"));
    }
    for mutation in batch.mutations() {
        let (Mutation::Put { expiry, .. } | Mutation::Touch { expiry, .. }) = mutation else {
            continue;
        };
        if !capabilities.ttl && !matches!(expiry, Expiry::Never | Expiry::Keep) {
            return Err(undeclared(capabilities, "deadlines"));
        }
    }
    let counts = batch
        .preconditions()
        .iter()
        .any(|one| matches!(one, Precondition::Count { .. }));
    if !capabilities.range_preconditions && counts {
        return Err(undeclared(capabilities, "range preconditions"));
    }
    if capabilities.atomicity == Extent::Partition && !in_one_partition(batch) {
        return Err(undeclared(capabilities, "batches over several partitions"));
    }
    Ok(())
}

/// Refuses a `get_many` of too many keys.
///
/// # Errors
///
/// `Invalid` with the number and the limit.
pub fn admit_keys(capabilities: &Capabilities, keys: &[Key]) -> Result<()> {
    capabilities.limits.check_operations(keys.len())
}

/// Refuses a scan that `capabilities` does not declare.
///
/// # Errors
///
/// `Unsupported`.
pub fn admit_scan(capabilities: &Capabilities, scan: &Scan) -> Result<()> {
    if scan.wanted_direction() == Direction::Reverse && !capabilities.reverse_scans {
        return Err(undeclared(capabilities, "reverse scans"));
    }
    admit_range(capabilities, scan.range(), "scans over several partitions")
}

/// Refuses a watch that `capabilities` does not declare.
///
/// # Errors
///
/// `Unsupported`.
pub fn admit_watch(capabilities: &Capabilities, spec: &WatchSpec) -> Result<()> {
    if !capabilities.watch {
        return Err(undeclared(capabilities, "watches"));
    }
    admit_range(capabilities, &spec.range, "watches over several partitions")
}

fn admit_range(capabilities: &Capabilities, range: &KeyRange, what: &'static str) -> Result<()> {
    if capabilities.revision_order == Extent::Partition && range.single_partition().is_none() {
        return Err(undeclared(capabilities, what));
    }
    Ok(())
}

fn undeclared(capabilities: &Capabilities, what: &'static str) -> Error {
    Error::unsupported(format!("this backend has no {what}; see its capabilities"))
        .with("backend", capabilities.name)
}

fn in_one_partition(batch: &WriteBatch) -> bool {
    let of_mutations = batch
        .mutations()
        .iter()
        .map(|mutation| Some(mutation.key().partition_bytes()));
    let of_preconditions = batch
        .preconditions()
        .iter()
        .map(|precondition| match precondition {
            Precondition::Key { key, .. } => Some(key.partition_bytes()),
            Precondition::Count { range, .. } => range.single_partition().map(crate::Partition::as_bytes),
        });
    let mut partitions = of_mutations.chain(of_preconditions);
    match partitions.next() {
        None => true,
        Some(first) => first.is_some() && partitions.all(|partition| partition == first),
    }
}
