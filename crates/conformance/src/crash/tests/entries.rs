//! Entries that are not what the change log says.

use super::*;

#[test]
fn a_lost_value_behind_a_whole_log_is_caught() {
    let written = Written::by(Load::Put, 200);
    let number = last(Load::Put, 200, |write| matches!(write.ops[..], [Op::Put { .. }]));
    let data = edited(Load::Put, 200, |write, batch| {
        let key = write.ops[0].key().clone();
        Some(if write.number == number {
            WriteBatch::new().put(key.clone(), value(SEED, number - 1, &key))
        } else {
            batch
        })
    });
    written.fails(&data, FailureKind::Lost);
}

#[test]
fn half_the_values_of_a_batch_are_caught_behind_a_whole_log() {
    let several = |write: &Write| write.ops.iter().filter(|op| matches!(op, Op::Put { .. })).count() > 2;
    let number = last(Load::Batch, 200, several);
    let written = Written::by(Load::Batch, number);
    let half = |write: &Write, mut batch: WriteBatch| {
        if write.number == number
            && let [Mutation::Put { key, value: old, .. }, ..] = batch.mutations_mut()
        {
            *old = value(SEED, 0, key).into();
        }
        Some(batch)
    };
    written.fails(&edited(Load::Batch, number, half), FailureKind::Half);
}

#[test]
fn a_resurrected_expired_entry_is_caught() {
    // A single entry that expires within the run and is not written again.
    let passes = |number: &u64| match &Write::of(Load::Expire, SEED, *number).ops[..] {
        [
            Op::Put {
                key,
                deadline: Some(deadline),
            },
        ] => {
            let later = |number| {
                Write::of(Load::Expire, SEED, number)
                    .ops
                    .iter()
                    .any(|op| op.key() == key)
            };
            *deadline <= time_of(300) && !(number + 1..=300).any(later)
        }
        _ => false,
    };
    let number = (1..300).find(passes).unwrap();
    let written = Written::by(Load::Expire, 300);
    let endless = |write: &Write, mut batch: WriteBatch| {
        if write.number == number
            && let [Mutation::Put { expiry, .. }] = batch.mutations_mut()
        {
            *expiry = Expiry::Never;
        }
        Some(batch)
    };
    written.fails(&edited(Load::Expire, 300, endless), FailureKind::Expiry);
}

#[test]
fn what_nobody_wrote_is_caught() {
    let written = Written::by(Load::Put, 50);
    let data = edited(Load::Put, 50, |_, batch| Some(batch));
    let store = Reference::reopen(&data, Arc::new(ManualClock::default()), options());
    let stranger = Key::new(&partition(), "stranger").unwrap();
    block_on(store.put(stranger, "?")).unwrap();
    written.fails(&data, FailureKind::Invented);
}
