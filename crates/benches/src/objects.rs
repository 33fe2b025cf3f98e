//! Objects from one S3 server to another: the mover's whole move of subjects that are mostly objects,
//! against rclone and s5cmd copying the same objects.

use crate::figures::three;
use crate::ground::{Ground, PHOTOS, SCHEMA};
use crate::peers;
use crate::site::{Site, moved, planned};
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use bytes::Bytes;
use domicile_mover::progress::Silent;
use domicile_stores::objects::Objects;
use domicile_testbed::seaweed::Seaweed;
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// The source's bucket.
const BUCKET: &str = "old";
/// Objects of one subject.
const PER_SUBJECT: u64 = 10;
/// Objects under way at once, for everybody: what the mover's defaults come to (two batches of 16).
const AT_ONCE: usize = 32;

/// What is copied.
struct Kind {
    name: &'static str,
    objects: u64,
    bytes: usize,
}

/// Two servers, the variables for them, and a number for the next bucket.
struct Servers {
    old: Seaweed,
    new: Seaweed,
    buckets: u32,
}

/// Measures both kinds and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let versions = [peers::version("rclone", "version").await?, peers::version("s5cmd", "version").await?];
    println!(
        "\n## Objects, S3 to S3\n\nTwo SeaweedFS servers on loopback; {AT_ONCE} objects at once for everybody. The mover's time is of the \
         whole wave: copy, SHA-256 of every object while it is copied, a HEAD before and after, reading every object back at the \
         target, the rows, cutover, receipts. {} (`copy`) compares sizes and, where the servers tell one, an MD5; s5cmd {} talks to one \
         server at a time, so it copies into a folder and from there, and compares nothing. MiB/s; min / median / max of {} runs.",
        versions[0], versions[1], asked.runs
    );
    let kinds = [
        Kind { name: "small", objects: asked.objects, bytes: 64 << 10 },
        Kind { name: "large", objects: asked.large_objects, bytes: (asked.large_object_mib as usize) << 20 },
    ];
    for kind in kinds {
        measure(ground, asked, &kind, verdicts).await?;
    }
    Ok(())
}

async fn measure(ground: &Ground, asked: &Asked, kind: &Kind, verdicts: &mut Verdicts) -> Fallible<()> {
    // Servers of its own, so that no kind finds what the other left.
    let mut servers = Servers { old: Seaweed::start()?, new: Seaweed::start()?, buckets: 0 };
    servers.old.create_bucket(BUCKET);
    let template = format!("objects_{}", kind.name);
    ground.template(&template, &format!("{SCHEMA}{PHOTOS}"), &rows(kind.objects));
    let source = servers.site(ground, &ground.copy(&[], &template), BUCKET)?.store(0).await?;
    fill(&source, kind).await?;
    let mib = kind.objects as f64 * kind.bytes as f64 / f64::from(1 << 20);
    let mut speeds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in 0..asked.runs {
        eprintln!("bench: {} {} objects, run {}", kind.objects, kind.name, run + 1);
        let mut turns = ["mover", "rclone", "s5cmd"];
        turns.rotate_left(run % 3);
        for who in turns {
            let bucket = servers.bucket();
            let seconds = match who {
                "mover" => mover(&servers, ground, kind, &template, &bucket).await?,
                "rclone" => servers.rclone(&bucket).await?,
                _ => servers.s5cmd(&bucket).await?,
            };
            servers.check(ground, &template, &bucket, kind).await?;
            servers.new.drop_bucket(&bucket);
            speeds.entry(who).or_default().push(mib / seconds);
        }
    }
    let [ours, rclone, s5cmd] = ["mover", "rclone", "s5cmd"].map(|who| speeds[who].clone());
    let ratios: Vec<f64> =
        ours.iter().zip(rclone.iter().zip(&s5cmd)).map(|(o, (r, s))| o / r.max(*s)).collect();
    let what = words(kind);
    println!(
        "\n### {what}\n\n| | MiB/s |\n|---|---|\n| mover, the whole wave | {} |\n| rclone | {} |\n| s5cmd, by a folder | {} |\n\
         | **mover / the faster** | **{}** |",
        three(&ours, 1),
        three(&rclone, 1),
        three(&s5cmd, 1),
        three(&ratios, 3)
    );
    verdicts.add(&format!("objects: {what}, mover / the faster of both"), Target::AtLeast(1.0), &ratios);
    Ok(())
}

fn words(kind: &Kind) -> String {
    match kind.bytes >> 20 {
        0 => format!("{} objects of {} KiB", kind.objects, kind.bytes >> 10),
        mib => format!("{} objects of {mib} MiB", kind.objects),
    }
}

/// Subjects with so many objects together, in rows that name them; one more of Germany stays.
fn rows(objects: u64) -> String {
    let subjects = objects.div_ceil(PER_SUBJECT);
    format!(
        "INSERT INTO accounts SELECT s, 'IN', NULL, 0 FROM generate_series(1, {subjects}) s;
         INSERT INTO accounts VALUES (0, 'DE', NULL, 0);
         INSERT INTO photos SELECT o, 1 + (o - 1) / {PER_SUBJECT}, 'photos/' || o FROM generate_series(1, {objects}) o;"
    )
}

/// Writes the objects; no two are alike.
async fn fill(store: &Objects, kind: &Kind) -> Fallible<()> {
    let noise = noise(kind.bytes);
    // Large ones one after the other: each is in memory whole.
    let at_once = if kind.bytes > 1 << 20 { 1 } else { AT_ONCE };
    let puts = (1..=kind.objects).map(|number| {
        let mut body = noise.clone();
        async move {
            body[..8].copy_from_slice(&number.to_le_bytes());
            store.put(&format!("photos/{number}"), Bytes::from(body)).await
        }
    });
    Ok(futures::stream::iter(puts).buffer_unordered(at_once).try_collect::<()>().await?)
}

/// Bytes that nothing can press together.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(bytes / 8).flatten().collect()
}

/// Seconds of the wave.
async fn mover(
    servers: &Servers,
    ground: &Ground,
    kind: &Kind,
    template: &str,
    bucket: &str,
) -> Fallible<f64> {
    let name = ground.copy(&[&ground.old, &ground.new], template);
    let site = servers.site(ground, &name, bucket)?;
    site.adopt().await?;
    let service = site.service(Arc::new(Silent)).await?;
    let plan = planned(&service).await?;
    ground.settle();
    let began = Instant::now();
    let report = moved(&service, &plan).await?;
    let seconds = began.elapsed().as_secs_f64();
    drop(service);
    ground.drop(&name);
    if report.objects != kind.objects {
        return Err(format!("the mover moved {} objects of {}", report.objects, kind.objects).into());
    }
    Ok(seconds)
}

impl Servers {
    /// A new bucket at the target.
    fn bucket(&mut self) -> String {
        self.buckets += 1;
        let name = format!("new{}", self.buckets);
        self.new.create_bucket(&name);
        name
    }

    fn site(&self, ground: &Ground, name: &str, bucket: &str) -> Fallible<Site> {
        let url = |server: &Seaweed, bucket: &str| {
            format!("s3://{bucket}?endpoint={}&region=us-east-1", server.endpoint())
        };
        let environment = self.variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let urls = [url(&self.old, BUCKET), url(&self.new, bucket)];
        Ok(ground.site_of(name)?.with_objects(urls, environment.into_iter().collect()))
    }

    fn variables(&self) -> [(&'static str, &'static str); 3] {
        [
            ("AWS_ACCESS_KEY_ID", self.old.access_key()),
            ("AWS_SECRET_ACCESS_KEY", self.old.secret_key()),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    /// Everything arrived, by the store's own word.
    async fn check(&self, ground: &Ground, name: &str, bucket: &str, kind: &Kind) -> Fallible<()> {
        let store = self.site(ground, name, bucket)?.store(1).await?;
        let listed: Vec<_> = store.list("photos/").try_collect().await?;
        let bytes: u64 = listed.iter().map(|meta| meta.size).sum();
        if listed.len() as u64 != kind.objects || bytes != kind.objects * kind.bytes as u64 {
            return Err(format!("{} objects of {bytes} bytes arrived in {bucket}", listed.len()).into());
        }
        Ok(())
    }

    async fn rclone(&self, bucket: &str) -> Fallible<f64> {
        let mut rclone = peers::peer("rclone");
        rclone.args(["copy", &format!("old:{BUCKET}"), &format!("new:{bucket}"), "--config=/dev/null"]);
        rclone.args([format!("--transfers={AT_ONCE}"), format!("--checkers={AT_ONCE}")]);
        for (name, server) in [("OLD", &self.old), ("NEW", &self.new)] {
            let setting = |key: &str| format!("RCLONE_CONFIG_{name}_{key}");
            rclone.env(setting("TYPE"), "s3").env(setting("PROVIDER"), "SeaweedFS");
            rclone.env(setting("ACCESS_KEY_ID"), server.access_key());
            rclone.env(setting("SECRET_ACCESS_KEY"), server.secret_key());
            rclone.env(setting("ENDPOINT"), server.endpoint());
        }
        Ok(peers::run(rclone).await?.1)
    }

    /// Down into a folder, then up: it can't name two servers in one command.
    async fn s5cmd(&self, bucket: &str) -> Fallible<f64> {
        let folder = tempfile::tempdir()?;
        let local = format!("{}/", folder.path().display());
        let one = |server: &Seaweed, from: &str, to: &str| -> Command {
            let mut s5cmd = peers::peer("s5cmd");
            s5cmd.args([format!("--numworkers={AT_ONCE}"), "--log=error".into()]);
            s5cmd.args(["--endpoint-url", &server.endpoint(), "cp", from, to]);
            s5cmd.envs(self.variables());
            s5cmd
        };
        let (_, down) = peers::run(one(&self.old, &format!("s3://{BUCKET}/*"), &local)).await?;
        let (_, up) = peers::run(one(&self.new, &local, &format!("s3://{bucket}/"))).await?;
        Ok(down + up)
    }
}
