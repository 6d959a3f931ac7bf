//! Which backups are kept: the options of `prune` and of `run`.

use std::time::Duration;

use clap::Args;
use stead::backup::{Keep, RetentionPolicy};
use stead::core::parse_bytes;

use crate::args;

#[derive(Args, Debug)]
pub(super) struct Keeping {
    /// The newest N
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_last: usize,
    /// The newest of each of the last N hours that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_hourly: usize,
    /// The newest of each of the last N days that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_daily: usize,
    /// The newest of each of the last N weeks that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_weekly: usize,
    /// The newest of each of the last N months that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_monthly: usize,
    /// The newest of each of the last N years that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_yearly: usize,
    /// Those that are not older than this, such as 30d
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    keep_within: Option<Duration>,
    /// Those with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,
    /// Those that are not older than this, and --min-backups of the newest whatever their age
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    max_age: Option<Duration>,
    /// With --max-age: how many of the newest are always kept
    #[arg(long, value_name = "N", default_value_t = 1, requires = "max_age")]
    min_backups: usize,
    /// At most N of them
    #[arg(long, value_name = "N")]
    max_backups: Option<usize>,
    /// At most so many bytes of chunks, such as 100GiB; what several share counts once
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_bytes: Option<u64>,
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).map_err(|error| error.message().to_owned())
}

impl Keeping {
    /// What they say together; nothing where none was given.
    pub(super) fn policy(&self) -> Option<RetentionPolicy> {
        let keep = Keep {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within.unwrap_or_default(),
            tags: self.keep_tag.clone(),
        };
        let picked = (keep != Keep::default()).then_some(RetentionPolicy::Keep(keep));
        let aged = self.max_age.map(|max_age| RetentionPolicy::TimeBasedPolicy {
            max_age,
            min_backups: self.min_backups,
        });
        let any: Vec<RetentionPolicy> = picked.into_iter().chain(aged).collect();
        let any = (!any.is_empty()).then_some(RetentionPolicy::AnyOf(any));
        let counted = self
            .max_backups
            .map(|max_backups| RetentionPolicy::CountBasedPolicy { max_backups });
        let sized = self
            .max_bytes
            .map(|max_bytes| RetentionPolicy::SizeBasedPolicy { max_bytes });
        let all: Vec<RetentionPolicy> = any.into_iter().chain(counted).chain(sized).collect();
        (!all.is_empty()).then_some(RetentionPolicy::AllOf(all))
    }
}
