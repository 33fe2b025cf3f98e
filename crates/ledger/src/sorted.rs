//! Sorts any number of lines with bounded memory: runs are sorted in memory, written to the
//! caller's scratch file, and merged from there as often as asked.

use crate::{Error, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Read, Seek, SeekFrom, Write};

/// Bytes of lines sorted in memory at a time.
pub(crate) const RUN_BYTES: usize = 16 << 20;
/// Bytes of read buffers while merging, all runs together; each run has at least `BUFFER_BYTES_MIN`.
const MERGE_BYTES: usize = 16 << 20;
const BUFFER_BYTES_MIN: usize = 4 << 10;
const BUFFER_BYTES_MAX: usize = 256 << 10;

/// Collects lines (without `\n`) in any order.
pub(crate) struct Sorter<S> {
    scratch: S,
    run_bytes: usize,
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
    written: u64,
    /// Where each run stands in the scratch file: (first byte, one past the last).
    runs: Vec<(u64, u64)>,
}

impl<S: Read + Write + Seek> Sorter<S> {
    /// The scratch file is overwritten from its beginning.
    pub(crate) fn new(scratch: S, run_bytes: usize) -> Self {
        Self { scratch, run_bytes, pending: Vec::new(), pending_bytes: 0, written: 0, runs: Vec::new() }
    }

    /// Takes a line.
    pub(crate) fn push(&mut self, line: Vec<u8>) -> Result<()> {
        self.pending_bytes += line.len();
        self.pending.push(line);
        if self.pending_bytes >= self.run_bytes { self.spill() } else { Ok(()) }
    }

    /// CRASH: a scratch file left behind holds commitments and counts only; the caller begins anew
    /// from its journal with an empty one.
    fn spill(&mut self) -> Result<()> {
        self.pending.sort_unstable();
        let first = self.written;
        self.scratch.seek(SeekFrom::Start(first))?;
        let mut out = std::io::BufWriter::new(&mut self.scratch);
        for line in self.pending.drain(..) {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
            self.written += line.len() as u64 + 1;
        }
        out.flush()?;
        drop(out);
        self.pending_bytes = 0;
        self.runs.push((first, self.written));
        Ok(())
    }

    /// Shows all lines in ascending order of their bytes. May be called more than once.
    pub(crate) fn each(&mut self, mut show: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if !self.pending.is_empty() {
            self.spill()?;
        }
        let bytes = (MERGE_BYTES / self.runs.len().max(1)).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        let mut runs: Vec<Run> =
            self.runs.iter().map(|r| Run { next: r.0, end: r.1, buffer: Vec::new(), at: 0, bytes }).collect();
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (i, run) in runs.iter_mut().enumerate() {
            if let Some(line) = run.line(&mut self.scratch)? {
                heads.push(Reverse((line, i)));
            }
        }
        while let Some(Reverse((line, i))) = heads.pop() {
            show(&line)?;
            if let Some(next) = runs[i].line(&mut self.scratch)? {
                heads.push(Reverse((next, i)));
            }
        }
        Ok(())
    }
}

/// One sorted run, read through a buffer of its own.
struct Run {
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    at: usize,
    bytes: usize,
}

impl Run {
    fn line(&mut self, scratch: &mut (impl Read + Seek)) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(n) = rest.iter().position(|b| *b == b'\n') {
                line.extend_from_slice(&rest[..n]);
                self.at += n + 1;
                return Ok(Some(line));
            }
            line.extend_from_slice(rest);
            if self.next == self.end {
                let whole = line.is_empty();
                return if whole { Ok(None) } else { Err(Error::record("the scratch file was changed")) };
            }
            self.fill(scratch)?;
        }
    }

    fn fill(&mut self, scratch: &mut (impl Read + Seek)) -> Result<()> {
        let n = (self.end - self.next).min(self.bytes as u64);
        self.buffer.resize(n as usize, 0);
        self.at = 0;
        scratch.seek(SeekFrom::Start(self.next))?;
        scratch.read_exact(&mut self.buffer)?;
        self.next += n;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    proptest! {
        #[test]
        fn merges_what_was_pushed(lines in prop::collection::vec("[a-z]{0,30}", 0..300), run_bytes in 1usize..400) {
            let mut sorter = Sorter::new(Cursor::new(Vec::new()), run_bytes);
            for l in &lines {
                sorter.push(l.clone().into_bytes()).unwrap();
            }
            let mut expected = lines;
            expected.sort();
            for _ in 0..2 {
                let mut got = Vec::new();
                sorter.each(|l| { got.push(String::from_utf8(l.to_vec()).unwrap()); Ok(()) }).unwrap();
                prop_assert_eq!(&got, &expected);
            }
        }
    }

    #[test]
    fn lines_longer_than_the_buffers_and_old_scratch_bytes_do_no_harm() {
        let mut sorter = Sorter::new(Cursor::new(vec![b'z'; 3 << 20]), 600_000);
        let line = |c: u8| vec![c; 500_000];
        for c in [b'c', b'a', b'b', b'e', b'd'] {
            sorter.push(line(c)).unwrap();
        }
        let mut got = Vec::new();
        sorter
            .each(|l| {
                got.push(l.to_vec());
                Ok(())
            })
            .unwrap();
        assert_eq!(got, (b'a'..=b'e').map(line).collect::<Vec<_>>());
    }
}
