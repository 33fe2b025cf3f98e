//! A whole move of many subjects into an empty region against `pgcopydb clone` of the same database, followed
//! by a SHA-256 checksum of both sides: what somebody would do who wants a copy that is known to be whole.

use crate::figures::three;
use crate::ground::Ground;
use crate::peers;
use crate::site::{moved, planned};
use crate::verdicts::{Target, Verdicts};
use crate::whole::{EACH, template};
use crate::{Asked, Fallible};
use domicile_mover::progress::Silent;
use std::sync::Arc;
use std::time::Instant;

/// Tables and indexes at once, as many as the mover has batches.
const JOBS: &str = "2";

/// One digest of every table: its rows as text, in the order of the text.
const CHECKSUMS: &str = "
SELECT 'accounts', encode(sha256(convert_to(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), ''), 'UTF8')), 'hex') FROM accounts t;
SELECT 'orders', encode(sha256(convert_to(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), ''), 'UTF8')), 'hex') FROM orders t;
SELECT 'items', encode(sha256(convert_to(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), ''), 'UTF8')), 'hex') FROM items t;
SELECT 'products', encode(sha256(convert_to(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), ''), 'UTF8')), 'hex') FROM products t;";

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    peers::version("pgcopydb", "help").await?;
    template(ground, asked);
    let (mut moves, mut clones, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..asked.runs {
        eprintln!("bench: pgcopydb, run {}", run + 1);
        for ours in if run % 2 == 0 { [true, false] } else { [false, true] } {
            if ours {
                moves.push(mover(ground).await?);
            } else {
                let (clone, sum) = clone_and_check(ground).await?;
                clones.push(clone);
                sums.push(sum);
            }
        }
    }
    let rows = (asked.subjects * EACH) as f64;
    let ratios: Vec<f64> =
        moves.iter().zip(clones.iter().zip(&sums)).map(|(ours, (clone, sum))| (clone + sum) / ours).collect();
    let rates = |seconds: &[f64]| three(&seconds.iter().map(|s| rows / s).collect::<Vec<_>>(), 0);
    let whole: Vec<f64> = clones.iter().zip(&sums).map(|(clone, sum)| clone + sum).collect();
    println!(
        "\n## Whole move into an empty region\n\n{} subjects of {EACH} rows. The region's tables are there and have no subject; everybody \
         moves, with copy, verify, cutover and receipts. `pgcopydb clone --table-jobs {JOBS} --index-jobs {JOBS}` brings the same database \
         into an empty one (it makes the indexes afterwards), then psql has the SHA-256 of each table's sorted rows made on both sides at \
         once.\n\n\
         | what, min / median / max of {} runs | |\n|---|---|\n| mover, rows/s | {} |\n| pgcopydb and checksums, rows/s | {} |\n\
         | pgcopydb alone, seconds | {} |\n| checksums alone, seconds | {} |\n| **ratio** | **{}** |",
        asked.subjects,
        asked.runs,
        rates(&moves),
        rates(&whole),
        three(&clones, 2),
        three(&sums, 2),
        three(&ratios, 3)
    );
    verdicts.add("whole move / pgcopydb and SHA-256 of both sides, rows/s", Target::AtLeast(1.2), &ratios);
    Ok(())
}

/// Seconds of the wave.
async fn mover(ground: &Ground) -> Fallible<f64> {
    let site = ground.site("whole").await?;
    let service = site.service(Arc::new(Silent)).await?;
    let plan = planned(&service).await?;
    let began = Instant::now();
    moved(&service, &plan).await?;
    let seconds = began.elapsed().as_secs_f64();
    drop(service);
    ground.drop(&site.database);
    Ok(seconds)
}

/// Seconds of the clone and of the checksums, which have to agree.
async fn clone_and_check(ground: &Ground) -> Fallible<(f64, f64)> {
    let name = ground.copy(&[&ground.old], "whole");
    ground.new.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner"));
    ground.settle();
    let folder = tempfile::tempdir()?;
    let [from, to] = [&ground.old, &ground.new].map(|cluster| cluster.url("postgres", &name));
    let mut clone = peers::peer("pgcopydb");
    clone.args(["clone", "--source", &from, "--target", &to, "--dir"]).arg(folder.path().join("work"));
    clone.args(["--table-jobs", JOBS, "--index-jobs", JOBS, "--skip-large-objects"]);
    // It keeps its files of process ids there.
    let (_, clone) = peers::run({
        clone.env("XDG_RUNTIME_DIR", folder.path()).env("TMPDIR", folder.path());
        clone
    })
    .await?;
    let began = Instant::now();
    let (old, new) = tokio::try_join!(checksums(&from), checksums(&to))?;
    let sum = began.elapsed().as_secs_f64();
    ground.drop(&name);
    if old != new {
        return Err("pgcopydb: the checksums of both sides differ".into());
    }
    Ok((clone, sum))
}

async fn checksums(url: &str) -> Fallible<String> {
    let mut psql = peers::peer("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", CHECKSUMS]);
    let (told, _) = peers::run(psql).await?;
    if told.lines().count() != 4 { Err(format!("checksums: {told}").into()) } else { Ok(told) }
}
