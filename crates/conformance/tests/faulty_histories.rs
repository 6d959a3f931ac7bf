//! Histories whose writes lose their answers pass on a store that is right, and each careless layer above it is caught.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use stead_conformance::oracle::{Careless, Clients, Manner, Recorded, check_faulty};
use stead_conformance::reference::{Options, Reference};
use stead_core::{Backend, ManualClock, Partition};

async fn history(seed: u64, defect: Option<Manner>) -> Result<Recorded, String> {
    let reference = Reference::open(Arc::new(ManualClock::default()), Options::default());
    let direct: Arc<dyn Backend> = Arc::new(reference);
    let mut store: Arc<dyn Backend> = Arc::new(Careless::new(Arc::clone(&direct), Manner::Loses));
    if let Some(manner) = defect {
        store = Arc::new(Careless::new(store, manner));
    }
    let clients = Clients {
        tasks: 16,
        operations: 600,
        seed,
        partition: Partition::new("history").unwrap(),
        time: Arc::default(),
    };
    check_faulty(&[store], &direct, &clients, || Ok(())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_explained() {
    for seed in 0..10 {
        let recorded = history(seed, None).await.unwrap();
        assert!(recorded.calls > 500, "{recorded:?}");
        assert!(recorded.unknown_and_there > 0, "{recorded:?}");
        assert!(recorded.unknown > recorded.unknown_and_there, "{recorded:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_careless_layer_is_caught() {
    for (manner, word) in [
        (Manner::Acknowledges, "but the log has it at"),
        (Manner::Repeats, "done twice"),
        (Manner::Denies, "failed as if nothing had been written"),
    ] {
        let why = history(1, Some(manner)).await.unwrap_err();
        assert!(why.contains(word), "{manner:?}: {why}");
    }
}
