//! The audit's search for a million identifiers: beside ripgrep with the same list, and beside one pass that only reads the memory.

mod text;

use crate::figures::three;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible, peers};
use domicile_audit::{Encoding, Forms, Found, Hit, Identifier, Kind, Scan, Wanted};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;
use text::Sort;

/// Bytes handed to a search at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Threads of the search and of the pass over the memory.
const THREADS: usize = 2;

/// How much is searched.
struct Size {
    identifiers: usize,
    mixed_bytes: usize,
    rich_bytes: usize,
    /// ripgrep searches two files of so many bytes: the difference is its rate without its start.
    peer_bytes: [usize; 2],
}

/// Measures and prints.
pub async fn run(asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let size = if asked.quick {
        Size {
            identifiers: 50_000,
            mixed_bytes: 64 << 20,
            rich_bytes: 16 << 20,
            peer_bytes: [4 << 20, 16 << 20],
        }
    } else {
        Size {
            identifiers: 1_000_000,
            mixed_bytes: 1 << 30,
            rich_bytes: 256 << 20,
            peer_bytes: [32 << 20, 160 << 20],
        }
    };
    let runs = asked.runs.min(3);
    let list = text::list(size.identifiers);
    let began = Instant::now();
    let wanted = prepared(&list)?;
    println!(
        "\n## Audit\n\n{} identifiers (40 % phone numbers, 30 % mail addresses, 10 % each IMEI, IMSI, free strings), {} B held for each, made ready in \
         {:.1} s. Searched plain, with separators, with and without country code, in UTF-16, hexadecimal, base64, percent-encoding and JSON's \
         escapes, and as five digests; nothing is switched off.\n",
        list.len(),
        wanted.held_bytes() / wanted.len(),
        began.elapsed().as_secs_f64()
    );
    println!(
        "| text | MiB | one thread, GB/s | {THREADS} threads, GB/s | reading the memory, {THREADS} threads, GB/s | ratio |\n|---|---|---|---|---|---|"
    );
    let mut alone = Vec::new();
    for (name, sort, bytes) in [
        ("access logs, JSON logs, CSV", Sort::Mixed, size.mixed_bytes),
        ("JSON with long base64 values", Sort::Base64, size.rich_bytes),
        ("CSV in UTF-16 and in hexadecimal", Sort::Recoded, size.rich_bytes),
        ("pages of a database", Sort::Pages, size.rich_bytes),
    ] {
        let (bytes, planted) = text::text(sort, &list, bytes);
        let measured = measured(&wanted, &bytes, &planted, runs)?;
        let of = |f: fn(&Measured) -> f64| measured.iter().map(f).collect::<Vec<_>>();
        let ratios = of(|m| m.together / m.memory);
        println!(
            "| {name} | {} | {} | {} | {} | {} |",
            bytes.len() >> 20,
            three(&of(|m| m.alone), 2),
            three(&of(|m| m.together), 2),
            three(&of(|m| m.memory), 1),
            three(&ratios, 3)
        );
        if sort == Sort::Mixed {
            verdicts.add(
                "audit, 1 GiB for 1 M identifiers: of a pass that only reads the memory",
                Target::AtLeast(0.25),
                &ratios,
            );
            alone = of(|m| m.alone);
        }
    }
    beside_ripgrep(&list, &size, runs, &alone, verdicts).await
}

fn prepared(list: &[(Kind, String)]) -> Fallible<Wanted> {
    let all: Result<Vec<_>, _> = list.iter().map(|(kind, text)| Identifier::new(*kind, text, None)).collect();
    Ok(Wanted::new(all?, &Forms::default(), None))
}

/// One round, in GB/s.
struct Measured {
    alone: f64,
    together: f64,
    memory: f64,
}

fn measured(wanted: &Wanted, bytes: &[u8], planted: &[usize], runs: usize) -> Fallible<Vec<Measured>> {
    let halves = || bytes.chunks(bytes.len().div_ceil(THREADS).next_multiple_of(4096));
    let rate = |began: Instant| bytes.len() as f64 / began.elapsed().as_secs_f64() / 1e9;
    let mut all = Vec::new();
    for round in 0..runs {
        eprintln!("bench: audit, round {}", round + 1);
        let began = Instant::now();
        let heard = searched(Scan::alone(wanted), bytes);
        let alone = rate(began);
        complete(&heard, planted)?;
        let began = Instant::now();
        let heard = searched(Scan::new(wanted), bytes);
        let together = rate(began);
        complete(&heard, planted)?;
        let began = Instant::now();
        std::thread::scope(|scope| {
            halves().map(|half| scope.spawn(|| std::hint::black_box(read(half)))).for_each(drop)
        });
        all.push(Measured { alone, together, memory: rate(began) });
    }
    Ok(all)
}

/// How often each identifier was found.
#[derive(Default)]
struct Heard(Vec<u32>);

impl Found for Heard {
    fn hit(&mut self, hit: Hit) {
        self.0.push(hit.identifier);
    }

    fn inner(&mut self, _at: u64, _how: Encoding, _bytes: &[u8]) {}
}

fn searched(mut scan: Scan, bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    bytes.chunks(CHUNK_BYTES).for_each(|chunk| scan.feed(chunk, &mut heard));
    scan.end(&mut heard);
    heard
}

/// Reads every word once.
fn read(bytes: &[u8]) -> u64 {
    bytes.as_chunks().0.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

/// Was every planted identifier found, as often as it was planted?
fn complete(heard: &Heard, planted: &[usize]) -> Fallible<()> {
    let mut found = std::collections::HashMap::new();
    heard.0.iter().for_each(|number| *found.entry(*number as usize).or_insert(0usize) += 1);
    let missed = planted.iter().filter(|number| match found.get_mut(number) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    match missed.count() {
        0 => Ok(()),
        missed => Err(format!("{missed} of {} planted identifiers were not found", planted.len()).into()),
    }
}

async fn beside_ripgrep(
    list: &[(Kind, String)],
    size: &Size,
    runs: usize,
    alone: &[f64],
    verdicts: &mut Verdicts,
) -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let patterns = folder.path().join("patterns");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&patterns)?);
    for (_, pattern) in list {
        writeln!(file, "{pattern}")?;
    }
    file.flush()?;
    let version = peers::version("rg", "--version").await?;
    let mut rates = Vec::new();
    let mut starts = Vec::new();
    for round in 0..runs {
        eprintln!("bench: audit, {version}, round {}", round + 1);
        let mut seconds = Vec::new();
        for bytes in size.peer_bytes {
            let (text, planted) = text::text(Sort::Mixed, list, bytes);
            let searched = folder.path().join("text");
            std::fs::write(&searched, &text)?;
            seconds.push(ripgrep(&patterns, &searched, planted.len()).await?);
        }
        let more = (size.peer_bytes[1] - size.peer_bytes[0]) as f64;
        let rate = more / (seconds[1] - seconds[0]).max(f64::MIN_POSITIVE) / 1e9;
        starts.push(seconds[0] - size.peer_bytes[0] as f64 / rate / 1e9);
        rates.push(rate);
    }
    let ratios: Vec<f64> = alone.iter().zip(&rates).map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "\n{version}, `rg -F -f` with the same list, one thread, only as it is written there: {} GB/s (from the difference of {} and {} MiB), and {} s \
         to read the list.",
        three(&rates, 4),
        size.peer_bytes[0] >> 20,
        size.peer_bytes[1] >> 20,
        three(&starts, 1)
    );
    verdicts.add(
        "audit, 1 GiB for 1 M identifiers: of `rg -F -f`, one thread each",
        Target::AtLeast(25.0),
        &ratios,
    );
    Ok(())
}

/// The seconds it takes; it must find what was planted, too.
async fn ripgrep(patterns: &Path, text: &Path, planted: usize) -> Fallible<f64> {
    let mut command = peers::peer("rg");
    command
        .args(["--no-config", "--text", "--threads=1", "--count-matches", "--fixed-strings", "--file"])
        .arg(patterns)
        .arg(text);
    let (told, seconds) = peers::run(command).await?;
    let found: usize = told.trim().parse().map_err(|_| format!("rg told no count: {told}"))?;
    if found < planted { Err(format!("rg found {found} of {planted}").into()) } else { Ok(seconds) }
}
