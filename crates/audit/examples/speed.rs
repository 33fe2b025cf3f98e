#![allow(missing_docs, clippy::print_stdout)]
#[path = "../../benches/src/audit/text.rs"]
mod text;
use domicile_audit::*;
struct Count(usize);
impl Found for Count {
    fn hit(&mut self, _: Hit) {
        self.0 += 1;
    }
    fn inner(&mut self, _: u64, _: Encoding, _: &[u8]) {}
}
fn rss() -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS"))
        .collect::<Vec<_>>()
        .join(" ")
}
#[derive(Clone, Copy)]
struct Cpu(u64);
impl Cpu {
    fn now() -> Self {
        Self(
            std::fs::read_to_string("/proc/thread-self/schedstat")
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap(),
        )
    }
    fn elapsed(self) -> std::time::Duration {
        std::time::Duration::from_nanos(Self::now().0 - self.0)
    }
}
fn main() {
    let n: usize = std::env::args().nth(1).map_or(1_000_000, |a| a.parse().unwrap());
    let mb: usize = std::env::args().nth(2).map_or(256, |a| a.parse().unwrap());
    let list = text::list(n);
    let ids: Vec<_> = list.iter().map(|(k, t)| Identifier::new(*k, t, None).unwrap()).collect();
    println!("before: {}", rss());
    let t = Cpu::now();
    let w = Wanted::new(ids, &Forms::default(), None);
    println!("made in {:?}, held {} B each; {}", t.elapsed(), w.held_bytes() / w.len(), rss());
    for sort in [text::Sort::Mixed, text::Sort::Base64, text::Sort::Recoded, text::Sort::Pages]
        .into_iter()
        .filter(|s| std::env::args().nth(3).is_none_or(|a| format!("{s:?}") == a))
    {
        let size = if sort == text::Sort::Mixed { mb << 20 } else { mb << 18 };
        let (bytes, planted) = text::text(sort, &list, size);
        for _ in 0..2 {
            let t = Cpu::now();
            let sum =
                bytes.as_chunks::<8>().0.iter().fold(0u64, |s, c| s.wrapping_add(u64::from_le_bytes(*c)));
            let mem = t.elapsed();
            std::hint::black_box(sum);
            let t = Cpu::now();
            let mut c = Count(0);
            let mut scan = Scan::alone(&w);
            for chunk in bytes.chunks(256 << 10) {
                scan.feed(chunk, &mut c);
            }
            scan.end(&mut c);
            let took = t.elapsed();
            let gb = |d: std::time::Duration| bytes.len() as f64 / d.as_secs_f64() / 1e9;
            println!(
                "{sort:?}: scan {:.3} GB/s, memory {:.2} GB/s, ratio {:.3}; hits {} of {}",
                gb(took),
                gb(mem),
                gb(took) / gb(mem),
                c.0,
                planted.len()
            );
        }
    }
}
