//! Group commit: whoever comes while a transaction waits for the disk goes with the next one.
//!
//! A batch is done as a whole or not at all, and the guard refuses it as a whole where it refuses one row. Then it is
//! halved until those it refuses stand alone: a mailbox that moves costs the others a few more commits, never their answer.

use super::{Engine, Refusal};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Items that may wait: beyond, whoever comes waits for a place.
const WAITING: usize = 8192;
/// Tries of a batch that lost against another transaction.
const TRIES: u32 = 8;

/// What is committed in batches.
pub(super) trait Item: Clone + Send + Sync + 'static {
    /// What each is answered.
    type Done: Send + 'static;
    /// Items of one transaction at most.
    const TOGETHER: usize = 512;

    /// Commits all as one transaction; one answer for each, in their order.
    fn commit(
        engine: &Engine,
        items: &[Self],
    ) -> impl Future<Output = Result<Vec<Self::Done>, Refusal>> + Send;
}

/// Hands items to the tasks that commit.
pub(super) struct Group<T, R>(mpsc::Sender<(T, oneshot::Sender<Result<R, Refusal>>)>);

impl<T: Item<Done = R>, R: Send + 'static> Group<T, R> {
    /// Starts so many tasks; they end when this is dropped. Tasks, so that a caller that goes away cancels no
    /// transaction in its middle.
    pub fn start(engine: &Arc<Engine>, lanes: usize) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..lanes {
            let (engine, receiver) = (engine.clone(), receiver.clone());
            tokio::spawn(async move {
                loop {
                    let mut together = Vec::new();
                    if receiver.lock().await.recv_many(&mut together, T::TOGETHER).await == 0 {
                        return;
                    }
                    commit(&engine, together).await;
                }
            });
        }
        Self(sender)
    }

    /// Done with others, answered for itself.
    pub async fn put(&self, item: T) -> Result<R, Refusal> {
        let (answer, answered) = oneshot::channel();
        let ended = |_| Refusal::Unknown("this process is ending".to_owned());
        self.0.send((item, answer)).await.map_err(|_| Refusal::Again("this process is ending".to_owned()))?;
        answered.await.map_err(ended)?
    }
}

/// Commits a batch; halves it where the guard refuses some of it.
async fn commit<T: Item<Done = R>, R: Send>(
    engine: &Engine,
    together: Vec<(T, oneshot::Sender<Result<R, Refusal>>)>,
) {
    let (items, answers): (Vec<T>, Vec<_>) = together.into_iter().unzip();
    let mut answers: Vec<Option<_>> = answers.into_iter().map(Some).collect();
    // Last in, first out: halves in their order.
    let all = 0..items.len();
    let mut parts = vec![all];
    while let Some(part) = parts.pop() {
        let refused = match several_times(engine, &items[part.clone()]).await {
            Ok(done) => {
                for (answer, done) in answers[part].iter_mut().zip(done) {
                    // Whoever asked has gone: nothing to be done about it.
                    answer.take().map(|answer| answer.send(Ok(done)));
                }
                continue;
            }
            Err(refused) => refused,
        };
        if part.len() > 1 && refused.is_of_one() {
            let middle = part.start + part.len() / 2;
            parts.extend([middle..part.end, part.start..middle]);
            continue;
        }
        for answer in &mut answers[part] {
            answer.take().map(|answer| answer.send(Err(refused.clone())));
        }
    }
}

async fn several_times<T: Item>(engine: &Engine, items: &[T]) -> Result<Vec<T::Done>, Refusal> {
    for n in 1..TRIES {
        match T::commit(engine, items).await {
            // Where it is not known whether it was done: done twice, each of these is the same as done once.
            Err(Refusal::Again(_) | Refusal::Unknown(_)) => {
                tokio::time::sleep(std::time::Duration::from_millis(3) * n).await
            }
            done => return done,
        }
    }
    T::commit(engine, items).await
}
