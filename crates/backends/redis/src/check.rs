//! Comparing records and indexes.

use stead_core::{CheckReport, Error, Result};
use stead_network::Repeat;

use crate::batch::Argument;
use crate::inner::{Answer, Inner};
use crate::record::{self, joined};
use crate::scripts::CHECK;

/// How many records one script reads.
const PAGE: u64 = 500;

pub(crate) async fn run(inner: &Inner, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<CheckReport> {
    let (mut entries, mut records) = (0, 0);
    for shard in 0..inner.shards.len() {
        for index in [b"i", b"x"] {
            let mut from = b"-".to_vec();
            loop {
                let arguments = [
                    inner.lineage.clone().into(),
                    Argument::Fixed(index),
                    Argument::Bytes(from),
                    PAGE.to_string().into(),
                ];
                let mut parts = match inner.script(shard, &CHECK, Repeat::Read, &arguments).await? {
                    Answer::Done(parts) => parts,
                    Answer::Fault(mut parts) => {
                        let fault = record::next(&mut parts)?;
                        let fault = String::from_utf8_lossy(record::bytes(&fault)?).into_owned();
                        return Err(
                            Error::corrupt("the store's records and indexes do not fit together")
                                .with("fault", fault)
                                .with("key", inner.shards[shard].meta()),
                        );
                    }
                    _ => return Err(record::malformed("answer")),
                };
                let read = record::number(&record::next(&mut parts)?)?;
                records += read;
                entries += if index == b"i" { read } else { 0 };
                progress(records);
                if read < PAGE {
                    break;
                }
                from = joined(b'(', record::bytes(&record::next(&mut parts)?)?);
                inner.open_for("check")?;
            }
        }
    }
    Ok(CheckReport::new(entries, records))
}
