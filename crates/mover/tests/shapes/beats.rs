//! An application that counts: each write is one more in its subject's row, wherever that lives, and the
//! acknowledged ones are known.

use crate::land::{Land, REGIONS, said};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Writers at work.
pub struct Beats {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<i64>>>,
    subjects: Vec<String>,
}

impl Beats {
    /// Two writers, each over all subjects (the first hundred).
    pub async fn start(land: &Arc<Land>) -> Self {
        let sql = "SELECT subject::text FROM public.beats ORDER BY subject LIMIT 100";
        let read = land.app("old").await.query(sql, &[]).await.unwrap();
        let subjects: Vec<String> = read.iter().map(|row| row.get(0)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..2).map(|_| {
            let (land, stop, subjects) = (land.clone(), stop.clone(), subjects.clone());
            tokio::spawn(async move { run(&land, &stop, &subjects).await })
        });
        Self { writers: writers.collect(), stop, subjects }
    }

    /// Ends the writers: every acknowledged write is there once, at one region.
    pub async fn check(self, land: &Land) {
        self.stop.store(true, Ordering::Relaxed);
        let mut wanted = vec![0; self.subjects.len()];
        for writer in self.writers {
            for (sum, n) in wanted.iter_mut().zip(writer.await.unwrap()) {
                *sum += n;
            }
        }
        let mut found = Vec::new();
        for subject in &self.subjects {
            let mut rows = Vec::new();
            for (region, _) in REGIONS {
                let sql = format!("SELECT n FROM public.beats WHERE subject = $1::text::{}", land.case.key.1);
                let app = land.app(region).await;
                rows.extend(app.query(&sql, &[subject]).await.unwrap().iter().map(|r| r.get::<_, i64>(0)));
            }
            assert_eq!(rows.len(), 1, "one home of one subject");
            found.push(rows[0]);
        }
        assert_eq!(found, wanted, "every acknowledged write once");
        assert!(wanted.iter().sum::<i64>() > 0, "the writers wrote");
    }
}

async fn run(land: &Land, stop: &AtomicBool, subjects: &[String]) -> Vec<i64> {
    let sql = format!("UPDATE public.beats SET n = n + 1 WHERE subject = $1::text::{}", land.case.key.1);
    let apps = [land.app("old").await, land.app("new").await];
    let mut written = vec![0; subjects.len()];
    let mut at = 0;
    while !stop.load(Ordering::Relaxed) {
        let subject = at % subjects.len();
        for app in &apps {
            match app.execute(&sql, &[&subjects[subject]]).await {
                Ok(n) => written[subject] += i64::try_from(n).unwrap(),
                Err(e) if ["RS001", "RS002", "40001", "40P01"].iter().any(|c| said(&e).starts_with(c)) => {
                    continue;
                }
                Err(e) => panic!("{}", said(&e)),
            }
        }
        at += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    written
}
