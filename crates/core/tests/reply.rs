//! A reply runs inline when it is ready and behaves as a future when it is not.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use stead_core::{Error, ErrorKind, Reply};

fn poll<T>(reply: &mut Reply<'_, T>) -> Poll<stead_core::Result<T>> {
    Pin::new(reply).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn ready_chain_runs_without_being_polled() {
    let ran = AtomicUsize::new(0);
    let reply = Reply::ready(1).and_then(|n| {
        ran.fetch_add(1, Ordering::SeqCst);
        Reply::ready(n + 1)
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    assert!(reply.is_ready());
    assert_eq!(block_on(reply).unwrap(), 2);
}

#[test]
fn failure_skips_the_rest() {
    let reply = Reply::<u8>::fail(Error::invalid("no")).and_then(|_| -> Reply<'_, u8> { unreachable!() });
    assert_eq!(block_on(reply).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn pending_chain_runs_when_awaited() {
    let reply = Reply::pending(ready(Ok(1)))
        .and_then(|n| Reply::pending(async move { Ok(n + 1) }))
        .map(|n| n * 10);
    assert!(!reply.is_ready());
    assert_eq!(block_on(reply).unwrap(), 20);
}

#[test]
fn replies_nest() {
    let reply = Reply::pending(async {
        Reply::ready(1)
            .and_then(|n| Reply::pending(async move { Ok(n + 1) }))
            .await
    });
    assert_eq!(block_on(reply.and_then(|n| Reply::ready(n + 1))).unwrap(), 3);
}

#[test]
fn dropped_while_pending_drops_what_it_holds() {
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let mut reply = Reply::pending(async move {
        let _inside = inside;
        pending::<stead_core::Result<()>>().await
    });
    assert!(poll(&mut reply).is_pending());
    drop(reply);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn polled_after_ready_panics() {
    for mut reply in [Reply::ready(1), Reply::pending(ready(Ok(1)))] {
        assert!(poll(&mut reply).is_ready());
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut reply))).is_err());
    }
}

#[test]
fn result_conversion_changes_failures_too() {
    let reply = Reply::<u8>::fail(Error::invalid("no")).map_result(|result| Ok(result.is_err()));
    assert!(block_on(reply).unwrap());
}
