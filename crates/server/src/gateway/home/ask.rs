//! Asks the directory for many homes in one question: whoever comes while one is under way goes with the next.

use domicile_directory::{Directory, Error, Home, SubjectHash};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Homes in one question.
const TOGETHER: usize = 500;
/// Questions that may wait: beyond, whoever comes waits for a place.
const WAITING: usize = 4096;
/// Questions under way at once: control stores have few connections.
const AT_ONCE: usize = 4;

type Answer = Result<Option<Home>, Error>;
type Asked = (SubjectHash, oneshot::Sender<Answer>);

/// Hands questions to the tasks that ask.
pub(crate) struct Asker(mpsc::Sender<Asked>);

impl Asker {
    /// Starts the tasks; they end when this is dropped.
    pub fn start(directory: Arc<Directory>, service: String) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..AT_ONCE {
            let (directory, service, receiver) = (directory.clone(), service.clone(), receiver.clone());
            tokio::spawn(async move {
                while let Some(together) = next(&receiver).await {
                    answer(&directory, &service, together).await;
                }
            });
        }
        Self(sender)
    }

    pub async fn ask(&self, subject: SubjectHash) -> Answer {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::Argument("the gateway is ending".into());
        self.0.send((subject, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// All that wait, up to a question's size; `None`: nobody will ask any more.
async fn next(receiver: &tokio::sync::Mutex<mpsc::Receiver<Asked>>) -> Option<Vec<Asked>> {
    let mut together = Vec::new();
    let count = receiver.lock().await.recv_many(&mut together, TOGETHER).await;
    (count > 0).then_some(together)
}

async fn answer(directory: &Directory, service: &str, together: Vec<Asked>) {
    let hashes: Vec<SubjectHash> = together.iter().map(|(hash, _)| *hash).collect();
    match directory.homes_of_hashes(service, &hashes).await {
        Ok(homes) => {
            for ((_, answer), home) in together.into_iter().zip(homes) {
                // Whoever asked has gone: nothing to be done about it.
                let _ = answer.send(Ok(home));
            }
        }
        Err(error) => {
            let why = error.to_string();
            for (_, answer) in together {
                let _ = answer.send(Err(Error::Argument(why.clone())));
            }
        }
    }
}
