//! Mailboxes on both engines, under a guard that enforces: by an ordinary role, as a relay opens them.

#[path = "../layouts/mod.rs"]
#[allow(dead_code)]
mod layouts;
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() { super::$name(crate::stage::Stage::postgres(stringify!($name)).await).await }
        )*}
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() { super::$name(crate::stage::Stage::sqlite(stringify!($name)).await).await }
        )*}
    };
}

mod order;
mod stage;
mod suite;
