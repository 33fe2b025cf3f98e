//! A long and bad line: takes the packets of the two netfilter queues of a place far away, keeps each for half
//! a round trip, and loses some. Runs in the place's namespace, as long as its standard input is open.
//!
//! Loss is of packets, independent of each other and the same in both directions, so that TCP meets what it
//! would meet on a line; a proxy of streams would hide it.

use crate::Fallible;
use domicile_testbed::far::{Far, QUEUE_BACK, QUEUE_THERE};
use nfq::{Queue, Verdict};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Packets under way in one direction: 2 Gbit/s for 84 ms.
const PACKETS_MAX: u32 = 20_000;
/// How often the queues are looked at: delays are exact to this.
const LOOK: Duration = Duration::from_micros(200);

/// What is done to packets.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// There and back.
    pub round_trip: Duration,
    /// Packets lost in a million, in each direction.
    pub loss_ppm: u32,
}

impl Line {
    /// Begins; the line ends with the value.
    pub fn lay(self, far: &Far) -> Fallible<Laid> {
        let mut command = far.within(&std::env::current_exe()?);
        let one_way = self.round_trip.as_micros() / 2;
        command.args(["line", &one_way.to_string(), &self.loss_ppm.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut ready = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut ready)?;
        }
        let laid = Laid(child);
        if ready.trim() != "ready" {
            return Err("the emulator of the line did not start (NFQUEUE in this kernel?)".into());
        }
        Ok(laid)
    }
}

/// A line that packets pass.
pub struct Laid(Child);

/// Packets so far that the kernel dropped because the emulator was too slow for them, in both directions.
pub fn overrun(far: &Far) -> Fallible<u64> {
    let mut cat = far.within(Path::new("cat"));
    let told = cat.arg("/proc/net/netfilter/nfnetlink_queue").output()?;
    // number, port, waiting, copy mode, copy range, dropped by the queue, dropped by the socket, ...
    let lines = String::from_utf8_lossy(&told.stdout).into_owned();
    let of = |line: &str| {
        line.split_whitespace().skip(5).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>()
    };
    Ok(lines.lines().map(of).sum())
}

impl Drop for Laid {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The process in the namespace.
pub fn run(delay_us: &str, loss_ppm: &str) -> Fallible<()> {
    let (delay, loss_ppm) = (Duration::from_micros(delay_us.parse()?), loss_ppm.parse()?);
    let mut ways = [
        Way { queue: open(QUEUE_THERE)?, waiting: VecDeque::new(), dice: 11, delay, loss_ppm },
        Way { queue: open(QUEUE_BACK)?, waiting: VecDeque::new(), dice: 12, delay, loss_ppm },
    ];
    println!("ready");
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    loop {
        for way in &mut ways {
            way.take_in()?;
            way.let_out()?;
        }
        std::thread::sleep(LOOK);
    }
}

fn open(number: u16) -> Fallible<Queue> {
    let mut queue = Queue::open()?;
    queue.bind(number)?;
    queue.set_queue_max_len(number, PACKETS_MAX)?;
    // Nobody reads what is in the packets.
    queue.set_copy_range(number, 0)?;
    queue.set_nonblocking(true);
    Ok(queue)
}

/// One direction.
struct Way {
    queue: Queue,
    /// In the order they came, which is the order they leave.
    waiting: VecDeque<(Instant, nfq::Message)>,
    dice: u64,
    delay: Duration,
    loss_ppm: u32,
}

impl Way {
    fn take_in(&mut self) -> Fallible<()> {
        loop {
            match self.queue.recv() {
                Ok(message) if self.lost() => self.verdict(message, Verdict::Drop)?,
                Ok(message) => self.waiting.push_back((Instant::now() + self.delay, message)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn let_out(&mut self) -> Fallible<()> {
        while self.waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, message)) = self.waiting.pop_front() {
                self.verdict(message, Verdict::Accept)?;
            }
        }
        Ok(())
    }

    fn verdict(&mut self, mut message: nfq::Message, verdict: Verdict) -> Fallible<()> {
        message.set_verdict(verdict);
        Ok(self.queue.verdict(message)?)
    }

    fn lost(&mut self) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % 1_000_000 < u64::from(self.loss_ppm)
    }
}
