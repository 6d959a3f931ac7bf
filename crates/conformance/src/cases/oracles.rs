//! Short runs of the oracles. Longer ones belong into a backend's own tests.

use crate::harness::{CaseResult, Context, Failure, Stands, cases};
use crate::oracle::{Effort, check_histories, check_model};

cases![
    linearizable_history_check,
    linearizable_history_check_of_long_histories,
    model_agrees_on_random_operations,
    model_agrees_over_restarts: PERSISTENCE,
];

/// Runs an oracle on a thread that may block.
async fn ask(
    stands: Stands,
    oracle: impl FnOnce(&Stands) -> Result<(), String> + Send + 'static,
) -> CaseResult {
    let answer = tokio::task::spawn_blocking(move || oracle(&stands)).await?;
    match answer {
        Ok(()) => Ok(()),
        Err(difference) => Err(Failure::new(difference)),
    }
}

async fn linearizable_history_check(cx: &Context) -> CaseResult {
    let effort = Effort::default().with_cases(30).with_operations(40);
    ask(cx.stands(), move |stands| {
        check_histories(&|clock| stands.stand(clock), &effort)
    })
    .await
}

async fn linearizable_history_check_of_long_histories(cx: &Context) -> CaseResult {
    let effort = Effort::default().with_cases(4).with_operations(400).with_seed(77);
    ask(cx.stands(), move |stands| {
        check_histories(&|clock| stands.stand(clock), &effort)
    })
    .await
}

async fn model_agrees_on_random_operations(cx: &Context) -> CaseResult {
    let effort = effort(cx).with_cases(30).with_operations(80);
    ask(cx.stands(), move |stands| {
        check_model(&|clock| stands.stand(clock), &effort)
    })
    .await
}

async fn model_agrees_over_restarts(cx: &Context) -> CaseResult {
    let effort = effort(cx).with_cases(15).with_operations(60).with_seed(78);
    let stands = cx.stands().with_restarts();
    ask(stands, move |stands| {
        check_model(&|clock| stands.stand(clock), &effort)
    })
    .await
}

/// A few shrinking steps make what is reported readable within the time of a case.
fn effort(cx: &Context) -> Effort {
    Effort::default()
        .with_patience(cx.patience() / 20)
        .with_shrinks(40)
}
