//! A source that changes while it is copied. The target's server is kept from answering, so that the
//! change falls into the copy every time.

use crate::stage::{folder, new_bucket, noise, open_s3, s3, server, sha256};
use domicile_stores::Error;
use domicile_stores::objects::{Objects, PART_BYTES};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Above one part, so that the upload is begun before the object was read through.
const SIZE: usize = PART_BYTES + PART_BYTES / 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_object_replaced_while_it_is_copied_is_copied_again() {
    let (_dir, folder) = folder().await;
    for source in [folder, s3().await] {
        let (target, mut gate) = gated().await;
        source.put("photo", noise(SIZE, 1)).await.unwrap();
        let changing = async {
            gate.wait().await;
            source.put("photo", noise(SIZE + 7, 2)).await.unwrap();
            gate.open(100);
        };
        let (copied, ()) = tokio::join!(source.copy_to(&target, "photo"), changing);
        let copied = copied.unwrap();
        let expected = (SIZE as u64 + 7, sha256(&noise(SIZE + 7, 2)));
        assert_eq!((copied.size, copied.sha256), expected, "{}", source.name());
        assert_eq!(copied.etag, source.head("photo").await.unwrap().unwrap().etag);
        assert_eq!(target.digest("photo").await.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_object_that_always_changes_is_given_up_and_nothing_of_it_is_published() {
    let (_dir, folder) = folder().await;
    for source in [folder, s3().await] {
        let (target, mut gate) = gated().await;
        source.put("photo", noise(SIZE, 0)).await.unwrap();
        let changing = async {
            for n in 1..=3 {
                gate.wait().await;
                source.put("photo", noise(SIZE, n)).await.unwrap();
                gate.open(1);
            }
        };
        let (copied, ()) = tokio::join!(source.copy_to(&target, "photo"), changing);
        assert!(matches!(copied, Err(Error::Changed { .. })), "{copied:?}");
        assert_eq!(target.head("photo").await.unwrap(), None, "{}", source.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_object_removed_while_it_is_copied_is_not_found() {
    let (_dir, folder) = folder().await;
    for source in [folder, s3().await] {
        let (target, mut gate) = gated().await;
        source.put("photo", noise(SIZE, 0)).await.unwrap();
        let removing = async {
            gate.wait().await;
            source.delete("photo").await.unwrap();
            gate.open(100);
        };
        let (copied, ()) = tokio::join!(source.copy_to(&target, "photo"), removing);
        assert!(matches!(copied, Err(Error::NotFound { .. })), "{copied:?}");
        assert_eq!(target.head("photo").await.unwrap(), None, "{}", source.name());
    }
}

/// Stands before the server and holds every request that begins an upload in parts.
struct Gate {
    held: mpsc::UnboundedReceiver<()>,
    permits: Arc<Semaphore>,
}

impl Gate {
    /// Waits until an upload is held.
    async fn wait(&mut self) {
        self.held.recv().await.expect("an upload");
    }

    /// Lets so many through.
    fn open(&self, uploads: usize) {
        self.permits.add_permits(uploads);
    }
}

async fn gated() -> (Objects, Gate) {
    let (tell, held) = mpsc::unbounded_channel();
    let permits = Arc::new(Semaphore::new(0));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let passing = Arc::clone(&permits);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let address = server().endpoint().replace("http://", "");
            let server = TcpStream::connect(address).await.unwrap();
            tokio::spawn(carry(client, server, tell.clone(), Arc::clone(&passing)));
        }
    });
    let target = open_s3(&new_bucket(), "", &endpoint).await;
    (target, Gate { held, permits })
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    tell: mpsc::UnboundedSender<()>,
    permits: Arc<Semaphore>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forward = async {
        let mut buffer = vec![0; 65536];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            if buffer[..n].starts_with(b"POST ") && buffer[..n].windows(8).any(|w| w == b"?uploads") {
                let _ = tell.send(());
                permits.acquire().await.unwrap().forget();
            }
            if to_server.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}
