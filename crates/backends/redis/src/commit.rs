//! Committing a batch.

use stead_core::{ErrorKind, Outcome, Precondition, Result, WriteBatch};
use stead_network::Repeat;

use crate::batch::{self, Argument, Encoded, Terms};
use crate::inner::{Answer, Inner, count};
use crate::record;
use crate::scripts::{CLAIM, COMMIT, COMMIT_REMOVAL};

impl Inner {
    pub(crate) fn encode(&self, batch: &WriteBatch) -> Result<Encoded> {
        let network = &self.options.network;
        let (shard, claimed_in) = self.shards_of_batch(batch);
        let terms = Terms {
            lineage: &self.lineage,
            channel: &self.shards[shard].channel,
            now: self.clock().now(),
            change_retention: network.change_retention,
            request_retention: network.request_retention,
        };
        let mut encoded = batch::encode(batch, &terms)?;
        encoded.shard = shard;
        encoded.claimed_in = claimed_in;
        Ok(encoded)
    }

    /// The shard that a batch is committed in, and the one that its request id is claimed in, where that is another.
    fn shards_of_batch(&self, batch: &WriteBatch) -> (usize, Option<usize>) {
        let of_id = batch.id().map(|id| self.shard_of_bytes(id.as_bytes()));
        let of_keys = match (batch.mutations().first(), batch.preconditions().first()) {
            (Some(mutation), _) => Some(self.shard_of_key(mutation.key())),
            (None, Some(Precondition::Key { key, .. })) => Some(self.shard_of_key(key)),
            (None, Some(Precondition::Count { range, .. })) => Some(self.shard_of_range(range)),
            (None, None) => of_id,
        };
        let shard = of_keys.unwrap_or(0);
        (shard, of_id.filter(|of_id| *of_id != shard))
    }

    pub(crate) async fn commit(&self, encoded: &Encoded) -> Result<Outcome> {
        if encoded.is_empty && self.shards.len() > 1 {
            // It belongs to no shard; the newest revision of all is the current one.
            return Ok(Outcome::Committed(self.stats().await?.revision));
        }
        let Some(shard) = encoded.claimed_in else {
            return self.commit_in_shard(encoded).await;
        };
        // No script reaches over shards, so an id is claimed where everyone looks for it before its batch is committed
        // elsewhere: another batch under the same id is refused, whatever its partition. A claim without a commit, as a
        // crash in between leaves it, is the same batch's to go on with.
        self.claim(shard, encoded, b"c").await?;
        let outcome = self.commit_in_shard(encoded).await;
        if let Err(error) = &outcome
            && error.kind() != ErrorKind::UnknownOutcome
        {
            // What failed does not use up its id. If this fails as well, the claim grows old.
            drop(self.claim(shard, encoded, b"d").await);
        }
        outcome
    }

    async fn claim(&self, shard: usize, encoded: &Encoded, what: &'static [u8]) -> Result<()> {
        let [id, fingerprint] = &encoded.request;
        let arguments: [Argument; 5] = [
            self.lineage.clone().into(),
            Argument::Bytes(id.clone()),
            Argument::Bytes(fingerprint.clone()),
            Argument::Fixed(what),
            self.options.network.request_retention.to_string().into(),
        ];
        match self.script(shard, &CLAIM, Repeat::SafeWrite, &arguments).await? {
            Answer::Done(_) => Ok(()),
            Answer::Taken => Err(batch::taken()),
            _ => Err(record::malformed("answer")),
        }
    }

    async fn commit_in_shard(&self, encoded: &Encoded) -> Result<Outcome> {
        let script = match encoded.only_removes {
            true => &*COMMIT_REMOVAL,
            false => &*COMMIT,
        };
        let shard = encoded.shard;
        let answer = self
            .script(shard, script, encoded.repeat, &encoded.arguments)
            .await?;
        let (mut parts, is_new) = match answer {
            Answer::Done(parts) => (parts, true),
            Answer::Again(parts) => (parts, false),
            Answer::Taken => return Err(batch::taken()),
            _ => return Err(record::malformed("answer")),
        };
        let text = record::next(&mut parts)?;
        let outcome = batch::outcome(record::bytes(&text)?, &encoded.conditions)?;
        if let Outcome::Committed(revision) = &outcome {
            self.learn(shard, *revision);
        }
        if is_new {
            count(
                &self.counters.expired,
                record::number(&record::next(&mut parts)?)?,
            );
            let counter = match outcome {
                Outcome::Committed(_) => &self.counters.commits,
                Outcome::Rejected(_) => &self.counters.conflicts,
            };
            count(counter, 1);
        }
        Ok(outcome)
    }
}
