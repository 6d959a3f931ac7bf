//! What a store does by itself: it sweeps, forgets, and listens for what other processes commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stead_core::Timestamp;
use stead_network::Failure;
use tokio::time::sleep;
use tokio_postgres::{AsyncMessage, Client};

use crate::convert::{column, number_from_sql, revision_from_sql, time_to_sql};
use crate::error;
use crate::server::Purpose;
use crate::shared::{Shared, newest_of};

/// The most entries that one sweep takes out: commits wait for it.
const SWEEP: i32 = 1024;
/// Rounds of the sweeper between two looks for requests that are too old.
const AGED_ROUNDS: u64 = 256;
/// How often a listener looks all the same, for what it may not have been told.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two signs that somebody listens. The sign holds for 30 seconds.
const SIGN_LOOKS: u32 = 5;

/// One round of the sweeper. What fails is left to the next round.
pub(crate) async fn sweep(shared: &Shared, round: u64) {
    let _ = sweep_all(shared).await;
    let _ = forget(shared, round).await;
}

async fn sweep_all(shared: &Shared) -> Result<(), Failure> {
    loop {
        let now = time_to_sql(shared.options.clock.now());
        let overdue = shared.tidy(&shared.sql.overdue, &[&now]).await?;
        let overdue = overdue.first().map(|row| column(row, 0)).transpose();
        if overdue.map_err(Failure::Final)? != Some(true) {
            return Ok(());
        }
        let session = shared.server.session(Purpose::Read).await?;
        let row = session.row(&shared.sql.sweep, &[&now, &SWEEP]).await?;
        let last = column(&row, 0)
            .and_then(revision_from_sql)
            .map_err(Failure::Final)?;
        let swept = column(&row, 1)
            .and_then(number_from_sql)
            .map_err(Failure::Final)?;
        shared.counters.expired.fetch_add(swept, Ordering::Relaxed);
        shared.publish(last);
        if swept < u64::from(SWEEP.unsigned_abs()) {
            return Ok(());
        }
    }
}

/// Forgets the oldest requests when there are too many of them, and those that are too old.
async fn forget(shared: &Shared, round: u64) -> Result<(), Failure> {
    let retention = shared.options.request_retention;
    if shared.remembered.load(Ordering::Relaxed) > retention / 16 {
        let kept = i64::try_from(retention).unwrap_or(i64::MAX);
        shared.tidy(&shared.sql.forget, &[&kept]).await?;
        shared.remembered.store(0, Ordering::Relaxed);
    }
    if round.is_multiple_of(AGED_ROUNDS) {
        let age = u64::try_from(shared.options.request_age.as_millis()).unwrap_or(u64::MAX);
        let now = shared.options.clock.now().as_millis();
        let oldest = time_to_sql(Timestamp::from_millis(now.saturating_sub(age)));
        shared.tidy(&shared.sql.forget_aged, &[&oldest]).await?;
    }
    Ok(())
}

/// Tells the watches of this handle what other processes commit, for as long as there are any.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut failures = 0;
    while shared.ended_at().is_none() {
        if shared.watches.load(Ordering::SeqCst) == 0 {
            shared.watched.notified().await;
            continue;
        }
        let listens = shared.server.sessions && shared.capabilities.writable && !shared.probe.standby;
        let ended = if listens {
            listen(&shared).await
        } else {
            poll(&shared).await
        };
        match ended {
            Ok(()) => failures = 0,
            Err(_) => {
                sleep(shared.retry.pause(failures)).await;
                failures += 1;
            }
        }
    }
}

/// Looks again and again.
async fn poll(shared: &Shared) -> Result<(), Failure> {
    while shared.is_watched() {
        let rows = shared.tidy(&shared.sql.newest, &[]).await?;
        if let Some(row) = rows.first() {
            let (newest, _) = newest_of(row).map_err(Failure::Final)?;
            shared.publish(newest);
        }
        sleep(shared.config.poll_interval).await;
    }
    Ok(())
}

/// Listens on a connection of its own, and looks now and then all the same.
async fn listen(shared: &Arc<Shared>) -> Result<(), Failure> {
    let (client, mut connection) = shared.server.connect().await?;
    let told = Arc::clone(shared);
    let driver = AbortOnDrop(tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(_) = message {
                told.signal.notify();
            }
        }
    }));
    let listened = look(shared, &client).await;
    drop(driver);
    listened
}

async fn look(shared: &Shared, client: &Client) -> Result<(), Failure> {
    let limit = shared.options.timeout;
    let within = async |question: &str| {
        let rows = tokio::time::timeout(limit, client.query_typed(question, &[])).await;
        rows.map_err(|_| error::timed_out())?.map_err(error::asking)
    };
    let rows = within(&shared.sql.channel.text).await?;
    let channel: String = match rows.first() {
        Some(row) => column(row, 0).map_err(Failure::Final)?,
        None => return Ok(()),
    };
    within(&format!("LISTEN {channel}")).await?;
    let mut looks = 0_u32;
    while shared.is_watched() {
        if looks.is_multiple_of(SIGN_LOOKS) {
            within(&shared.sql.listening.text).await?;
        }
        if let Some(row) = within(&shared.sql.newest.text).await?.first() {
            let (newest, _) = newest_of(row).map_err(Failure::Final)?;
            shared.publish(newest);
        }
        looks = looks.wrapping_add(1);
        sleep(LOOK).await;
    }
    Ok(())
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
