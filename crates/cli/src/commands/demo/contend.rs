//! Many tasks that change the same two values.

use serde_json::json;
use stead::state::{StateManager, TransactionOptions};
use stead::{Error, Result, StateScope};

/// Tasks at a time.
pub(super) const TASKS: u32 = 8;
/// Transfers of each task.
pub(super) const TRANSFERS: u32 = 50;
/// What the accounts hold together.
const TOTAL: i64 = 1_000;

/// What came of it.
pub(super) struct Contended {
    pub(super) transfers: u32,
    /// How often a transaction ran again since another was faster.
    pub(super) repeated: u32,
    pub(super) balances: (i64, i64),
}

pub(super) fn bank() -> StateScope {
    StateScope::custom("bank", "demo")
}

/// Moves money between two accounts from several tasks at once. Each transfer reads both and writes both.
pub(super) async fn run(state: &StateManager) -> Result<Contended> {
    state
        .set_many(bank(), [("alice", json!(TOTAL)), ("bob", json!(0))])
        .await?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(transfers(state.clone(), task)))
        .collect();
    let mut repeated = 0;
    for task in tasks {
        repeated += task
            .await
            .map_err(|cause| Error::internal("a task ended before its time").because(cause))??;
    }
    let (alice, bob) = (balance(state, "alice").await?, balance(state, "bob").await?);
    if alice + bob != TOTAL {
        return Err(Error::corrupt("the sum of the accounts is not what it was")
            .with("sum", alice + bob)
            .with("wanted", TOTAL));
    }
    Ok(Contended {
        transfers: TASKS * TRANSFERS,
        repeated,
        balances: (alice, bob),
    })
}

async fn balance(state: &StateManager, account: &str) -> Result<i64> {
    Ok(state.get_as(bank(), account).await?.unwrap_or_default())
}

async fn transfers(state: StateManager, task: u32) -> Result<u32> {
    let mut repeated = 0;
    for transfer in 0..TRANSFERS {
        let amount = i64::from(1 + (task * 7 + transfer * 3) % 20);
        let done = state
            .transaction_with(&TransactionOptions::default(), |tx| async move {
                let alice: i64 = tx.get_as(bank(), "alice").await?.unwrap_or_default();
                let bob: i64 = tx.get_as(bank(), "bob").await?.unwrap_or_default();
                // From the richer to the poorer, so that nobody runs dry.
                let amount = if alice >= bob { amount } else { -amount };
                tx.set(bank(), "alice", &(alice - amount)).await?;
                tx.set(bank(), "bob", &(bob + amount)).await
            })
            .await?;
        repeated += done.attempts - 1;
    }
    Ok(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_money_is_made_or_lost() {
        let state = StateManager::new(stead::open("memory:").await.unwrap());
        let contended = run(&state).await.unwrap();
        assert_eq!(contended.transfers, 400);
        assert_eq!(contended.balances.0 + contended.balances.1, TOTAL);
    }
}
