//! A long and bad line: takes the packets of the two netfilter queues of a namespace, keeps each for half a round trip, and
//! loses some. Runs in that namespace, as long as its standard input is open.
//!
//! Loss is of packets, independent of each other and the same in both directions, so that TCP meets what it
//! would meet on a line; a proxy of streams would hide it.

use crate::Fallible;
use domicile_testbed::far::{Far, QUEUE_BACK, QUEUE_THERE};
use nfq::{Queue, Verdict};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Packets under way in one direction: 2 Gbit/s for 84 ms.
const PACKETS_MAX: u32 = 20_000;
/// How long what waits for the access line may wait; what comes on top is dropped, as a modem does.
const ROOM: Duration = Duration::from_millis(250);

/// What is done to packets.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// There and back.
    pub round_trip: Duration,
    /// Packets lost in a million, in each direction.
    pub loss_ppm: u32,
    /// How often the queues are looked at while something is on its way: delays are exact to this.
    pub look: Duration,
    /// Bytes a second of the first queue and of the second; 0: as many as come.
    pub bytes_per_s: [u64; 2],
}

impl Line {
    /// Begins; the line ends with the value.
    pub fn lay(self, far: &Far) -> Fallible<Laid> {
        self.lay_by(far.within(&std::env::current_exe()?))
    }

    /// The same by this program, started in the namespace of the queues.
    pub fn lay_by(self, mut command: Command) -> Fallible<Laid> {
        let [first, second] = self.bytes_per_s;
        let (one_way, look) = (self.round_trip.as_micros() / 2, self.look.as_micros());
        command.arg("line").args([one_way, u128::from(self.loss_ppm), look].map(|n| n.to_string()));
        command.args([first, second].map(|n| n.to_string()));
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
    overrun_by(far.within(Path::new("cat")))
}

/// The same by `cat`, started in the namespace of the queues.
pub fn overrun_by(mut cat: Command) -> Fallible<u64> {
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

/// The process in the namespace: one-way delay in us, packets lost in a million, look in us, bytes a second of both ways.
pub fn run(words: &[&str]) -> Fallible<()> {
    let numbers = words.iter().map(|word| word.parse()).collect::<Result<Vec<u64>, _>>()?;
    let &[delay_us, loss_ppm, look_us, first, second] = numbers.as_slice() else {
        return Err("line: delay, loss, look and two rates".into());
    };
    let (delay, look) = (Duration::from_micros(delay_us), Duration::from_micros(look_us));
    let way = |number, dice, rate| -> Fallible<Way> {
        let (waiting, free_at) = (VecDeque::new(), Instant::now());
        Ok(Way { queue: open(number, rate > 0)?, waiting, dice, delay, loss_ppm, look, rate, free_at })
    };
    // Each line loses other packets than the next one.
    let seed = u64::from(std::process::id()) << 8;
    let ways = [way(QUEUE_THERE, seed | 11, first)?, way(QUEUE_BACK, seed | 12, second)?];
    for mut way in ways {
        std::thread::spawn(move || {
            let failed = way.pass();
            eprintln!("bench: the line broke: {failed:?}");
            std::process::exit(1);
        });
    }
    println!("ready");
    std::io::stdout().flush()?;
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

fn open(number: u16, wants_lengths: bool) -> Fallible<Queue> {
    let mut queue = Queue::open()?;
    queue.bind(number)?;
    queue.set_queue_max_len(number, PACKETS_MAX)?;
    // Nobody reads what is in the packets; but only of one that is cut short does the kernel say how long it was.
    queue.set_copy_range(number, u16::from(wants_lengths))?;
    Ok(queue)
}

/// One direction.
struct Way {
    queue: Queue,
    /// In the order they came, which is the order they leave.
    waiting: VecDeque<(Instant, nfq::Message)>,
    dice: u64,
    delay: Duration,
    loss_ppm: u64,
    look: Duration,
    /// Bytes a second; 0: as many as come.
    rate: u64,
    /// When the access line has sent what waits for it.
    free_at: Instant,
}

impl Way {
    /// Until something fails. Idle lines wait in the kernel and cost nothing.
    fn pass(&mut self) -> Fallible<()> {
        loop {
            self.queue.set_nonblocking(!self.waiting.is_empty());
            self.take_in()?;
            self.let_out()?;
            let due = self.waiting.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
            if let Some(due) = due {
                std::thread::sleep(due.min(self.look));
            }
        }
    }

    fn take_in(&mut self) -> Fallible<()> {
        loop {
            match self.queue.recv() {
                Ok(message) => self.take(message)?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
            self.queue.set_nonblocking(true);
        }
    }

    fn take(&mut self, message: nfq::Message) -> Fallible<()> {
        let now = Instant::now();
        let Some(sent) = self.sent(message.get_original_len(), now).filter(|_| !self.lost()) else {
            return self.verdict(message, Verdict::Drop);
        };
        // It came half a look ago, on average.
        let due = (sent + self.delay).checked_sub(self.look / 2).unwrap_or(now);
        self.waiting.push_back((due, message));
        Ok(())
    }

    /// When the access line has sent a packet of so many bytes; `None`: there is no room for it.
    fn sent(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        if self.rate == 0 {
            return Some(now);
        }
        let begins = self.free_at.max(now);
        if begins - now > ROOM {
            return None;
        }
        self.free_at = begins + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        Some(self.free_at)
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
        (self.dice >> 33) % 1_000_000 < self.loss_ppm
    }
}
