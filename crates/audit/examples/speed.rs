//! How fast the search is, without the rest of the workspace's build: `cargo run --release -p domicile-audit --example speed --
//! [IDENTIFIERS] [MIB] [SORT]`. For profilers; the figures of docs/benchmarks.md come from `cargo xtask bench audit`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../benches/src/audit/text.rs"]
mod text;

use domicile_audit::{Encoding, Examiner, Forms, Found, Hit, Identifier, Limits, Place, Scan, Step, Wanted};
use std::time::{Duration, Instant};

struct Count(usize);

impl Found for Count {
    fn hit(&mut self, _: Hit) {
        self.0 += 1;
    }
    fn inner(&mut self, _: u64, _: Encoding, _: &[u8]) {}
}

/// The processor time of this thread.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

fn memory(when: &str) {
    let told = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines: Vec<_> = told.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS")).collect();
    println!("{when}: {}", lines.join(", "));
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| asked.get(at).map_or(usual, |a| a.parse().unwrap());
    let (identifiers, mib) = (number(0, 1_000_000), number(1, 256));
    let list = text::list(identifiers);
    let all = list.iter().map(|(kind, text)| Identifier::new(*kind, text, None).unwrap()).collect();
    memory("before");
    let wanted = Wanted::new(all, &Forms::default(), None);
    memory("made ready");
    println!("{} B held for each", wanted.held_bytes() / wanted.len());
    for sort in [text::Sort::Mixed, text::Sort::Base64, text::Sort::Recoded, text::Sort::Pages] {
        if asked.get(2).is_some_and(|name| format!("{sort:?}") != *name) {
            continue;
        }
        let (bytes, planted) = text::text(sort, &list, mib << 20);
        let rate = |took: Duration| bytes.len() as f64 / took.as_secs_f64() / 1e9;
        for _ in 0..3 {
            let mut count = Count(0);
            let began = cpu();
            let mut scan = Scan::alone(&wanted);
            bytes.chunks(256 << 10).for_each(|chunk| scan.feed(chunk, &mut count));
            scan.end(&mut count);
            let alone = rate(cpu() - began);
            let began = Instant::now();
            let mut examiner = Examiner::new(&wanted, Limits::default());
            examiner.read(&Place(vec![Step::File("text".into())]), &bytes[..]).unwrap();
            let whole = rate(began.elapsed());
            println!(
                "{sort:?}: {alone:.3} GB/s of a thread's time, {whole:.3} GB/s by the clock with containers on all cores; {} hits of {} planted",
                count.0,
                planted.len()
            );
        }
    }
}
