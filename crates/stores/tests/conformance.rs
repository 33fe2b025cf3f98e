//! One suite, every record store. An engine is a module below with a fixture.

#[path = "conformance/column.rs"]
mod column;
#[path = "conformance/journal.rs"]
mod journal;
#[path = "conformance/postgres.rs"]
mod postgres;
#[path = "conformance/sqlite.rs"]
mod sqlite;
#[path = "conformance/suite.rs"]
mod suite;

mod layouts;

/// The whole suite for one fixture, a test each.
macro_rules! conformance {
    ($fixture:expr) => {
        #[tokio::test]
        async fn copy() {
            crate::suite::copy(&$fixture).await;
        }
        #[tokio::test]
        async fn catch_up() {
            crate::suite::catch_up(&$fixture).await;
        }
        #[tokio::test]
        async fn corruption() {
            crate::suite::corruption(&$fixture).await;
        }
        #[tokio::test]
        async fn ownership() {
            crate::suite::ownership(&$fixture).await;
        }
        #[tokio::test]
        async fn swapped_value() {
            crate::suite::swapped_value(&$fixture).await;
        }
        #[tokio::test]
        async fn erase() {
            crate::suite::erase(&$fixture).await;
        }
        #[tokio::test]
        async fn lease_loss() {
            crate::suite::lease_loss(&$fixture).await;
        }
        #[tokio::test]
        async fn spelling() {
            crate::journal::one_spelling(&$fixture).await;
        }
        #[tokio::test]
        async fn column() {
            crate::column::of_subjects(&$fixture).await;
        }
        #[tokio::test]
        async fn journal() {
            crate::journal::batch_by_batch(&$fixture).await;
        }
    };
}
pub(crate) use conformance;
