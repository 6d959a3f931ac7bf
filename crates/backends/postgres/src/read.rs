//! Reading entries, live or through a snapshot.

use std::collections::HashMap;

use stead_core::{Clock, Cursor, Direction, Entry, Error, Item, Key, Page, Reply, Result, Scan, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::convert::{BEHIND_ALL, column, key_from_sql, revision_from_sql, time_from_sql, time_to_sql};
use crate::server::Sql;
use crate::shared::Shared;

/// Where reads go.
pub(crate) trait Source: Send + Sync {
    fn shared(&self) -> &Shared;

    /// Runs a statement that reads.
    fn rows<'a>(&'a self, sql: &'a Sql, params: &'a [&'a (dyn ToSql + Sync)]) -> Reply<'a, Vec<Row>>;
}

/// The entry under `key`.
pub(crate) async fn get(source: &impl Source, key: &Key) -> Result<Option<Entry>> {
    let shared = source.shared();
    let bytes = key.as_bytes();
    let rows = source.rows(&shared.sql.get, &[&bytes]).await?;
    let entry = match rows.first() {
        Some(row) => visible(row, 0, &*shared.options.clock)?,
        None => None,
    };
    count(shared, entry.is_some());
    Ok(entry)
}

/// The entries under `keys`, by one statement.
pub(crate) async fn get_many(source: &impl Source, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
    let shared = source.shared();
    let wanted: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
    let rows = source.rows(&shared.sql.get_many, &[&wanted]).await?;
    let now = shared.options.clock.now();
    let mut found: HashMap<&[u8], Entry> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let entry = entry(row, 1)?;
        if is_visible(&entry, now) {
            found.insert(column(row, 0)?, entry);
        }
    }
    let entries: Vec<_> = wanted.iter().map(|key| found.get(key).cloned()).collect();
    for entry in &entries {
        count(shared, entry.is_some());
    }
    Ok(entries)
}

fn count(shared: &Shared, hit: bool) {
    let counters = &shared.counters;
    let counter = if hit { &counters.hits } else { &counters.misses };
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

fn visible(row: &Row, at: usize, clock: &dyn Clock) -> Result<Option<Entry>> {
    let entry = entry(row, at)?;
    // Most entries have no deadline, and the time is asked of the operating system.
    if entry.deadline().is_some() && !is_visible(&entry, clock.now()) {
        return Ok(None);
    }
    Ok(Some(entry))
}

fn is_visible(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline().is_none_or(|deadline| deadline > now)
}

/// The entry in the columns value, revision and deadline from `at` on.
fn entry(row: &Row, at: usize) -> Result<Entry> {
    let value: &[u8] = column(row, at)?;
    let revision = revision_from_sql(column(row, at + 1)?)?;
    let deadline: Option<i64> = column(row, at + 2)?;
    Ok(Entry::new(value, revision, deadline.map(time_from_sql)))
}

/// A scan under way. It holds nothing of the server between pages.
pub(crate) struct PageCursor<'a, S> {
    source: &'a S,
    start: Vec<u8>,
    end: Vec<u8>,
    direction: Direction,
    page_size: usize,
    keys_only: bool,
    left: usize,
    over: bool,
}

impl<'a, S: Source> PageCursor<'a, S> {
    pub(crate) fn new(source: &'a S, scan: &Scan) -> Self {
        PageCursor {
            source,
            start: scan.range().start().to_vec(),
            end: scan.range().end().unwrap_or(&BEHIND_ALL).to_vec(),
            direction: scan.wanted_direction(),
            page_size: scan.wanted_page_size(),
            keys_only: scan.is_keys_only(),
            left: scan.wanted_limit().unwrap_or(usize::MAX),
            over: scan.range().is_empty(),
        }
    }

    async fn page(&mut self) -> Result<Page> {
        if self.over || self.left == 0 {
            return Ok(Page::new());
        }
        let sql = &self.source.shared().sql;
        let statement = match (self.keys_only, self.direction) {
            (false, Direction::Forward) => &sql.page,
            (false, Direction::Reverse) => &sql.page_back,
            (true, Direction::Forward) => &sql.keys,
            (true, Direction::Reverse) => &sql.keys_back,
        };
        let now = time_to_sql(self.source.shared().options.clock.now());
        let wanted = self.page_size.min(self.left);
        let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
        let (start, end) = (&self.start[..], &self.end[..]);
        let rows = self.source.rows(statement, &[&start, &end, &now, &limit]).await?;
        let page = rows
            .iter()
            .map(|row| item(row, self.keys_only))
            .collect::<Result<Page>>()?;
        // From here on nothing waits: who drops the reply before gets the same page again.
        self.left -= page.len().min(self.left);
        match page.last() {
            Some(last) => {
                let last = last.key.as_bytes();
                match self.direction {
                    Direction::Forward => {
                        self.start.clear();
                        self.start.extend_from_slice(last);
                        self.start.push(0);
                    }
                    Direction::Reverse => {
                        self.end.clear();
                        self.end.extend_from_slice(last);
                    }
                }
            }
            None => self.over = true,
        }
        Ok(page)
    }
}

fn item(row: &Row, keys_only: bool) -> Result<Item> {
    Ok(Item {
        key: key_from_sql(column(row, 0)?)?,
        entry: if keys_only { None } else { Some(entry(row, 1)?) },
    })
}

impl<S: Source> Cursor for PageCursor<'_, S> {
    fn next_page(&mut self) -> Reply<'_, Page> {
        if let Err(error) = self.source.shared().check_open() {
            return Reply::fail(error.during("scan"));
        }
        Reply::pending(async move { self.page().await.map_err(|error: Error| error.during("scan")) })
    }
}
