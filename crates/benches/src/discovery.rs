//! Contact discovery on one core: what a sync costs the relay and the device, beside as many bare multiplications by a scalar, which
//! no protocol of this kind can do without.

use crate::figures::{quantile, three};
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use domicile_messaging::discovery::{Blinding, DiscoveryKey, Filter};
use domicile_messaging::number::Number;
use domicile_messaging::wire::Locator;
use std::hint::black_box;
use std::time::Instant;

/// Contacts of a device that syncs for the first time.
const CONTACTS: usize = 500;
/// Syncs a second that one core of a relay must do.
const SYNCS_A_SECOND: f64 = 8.0;
/// What a filter of a million users may have, bytes.
const FILTER_BYTES: f64 = 5e6;

/// What a round took, ms, in the order of the table.
type Round = [f64; 4];

/// Measures and prints.
pub fn run(asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let (times, users) = if asked.quick { (5, 50_000) } else { (40, 1_000_000) };
    let numbers: Vec<Number> =
        (0..CONTACTS).map(|n| format!("+86139{n:08}").parse()).collect::<Result<_, _>>()?;
    let rounds: Vec<Round> = (0..asked.runs).map(|_| round(&numbers, times)).collect::<Fallible<_>>()?;
    let column = |n: usize| rounds.iter().map(|round| round[n]).collect::<Vec<f64>>();
    println!(
        "\n## Contact discovery\n\nOne thread. A device with {CONTACTS} contacts of which none was asked for before; the batch is padded to 512 elements. \
         Each figure is the median of {times}, of {} rounds. Bare: 512 multiplications of a ristretto255 point by a scalar, with the library that both \
         sides use.\n\n| what | ms |\n|---|---|",
        asked.runs
    );
    for (n, what) in
        ["relay: evaluates and proves", "device: blinds", "device: checks the proof, unblinds", "bare"]
            .iter()
            .enumerate()
    {
        println!("| {what} | {} |", three(&column(n), 1));
    }
    let syncs: Vec<f64> = column(0).iter().map(|ms| 1e3 / ms).collect();
    let of_bare: Vec<f64> = rounds.iter().map(|round| round[3] / round[0]).collect();
    let (bytes, built_ms, looked_ns) = filter(users)?;
    println!(
        "\nThe relay: {} syncs a second and core; bare takes {} of its time. The filter of {users} users: {bytes} bytes, built in {built_ms:.0} ms, \
         {looked_ns:.0} ns a look on the device.",
        three(&syncs, 1),
        three(&of_bare, 2)
    );
    verdicts.add("discovery: syncs/s a core", Target::AtLeast(SYNCS_A_SECOND), &syncs);
    let of_a_million = bytes as f64 * 1e6 / users as f64;
    verdicts.add("discovery: bytes of a filter of a million", Target::AtMost(FILTER_BYTES), &[of_a_million]);
    Ok(())
}

fn round(numbers: &[Number], times: usize) -> Fallible<Round> {
    let key = DiscoveryKey::generate();
    let public = key.public_key();
    let blinding = Blinding::of(numbers.to_vec())?;
    let (evaluated, proof) = key.evaluate(blinding.blinded())?;
    // What is measured does what it should: the tags are those that the key gives.
    let tags = blinding.tags(&evaluated, &proof, &public)?;
    if blinding.numbers().first().map(|number| key.tag(number).locator())
        != tags.first().map(|tag| tag.locator())
    {
        return Err("a tag is another one than the relay's".into());
    }
    let elements = blinding.blinded().len();
    let point = RistrettoPoint::mul_base(&Scalar::from(7_u64));
    let scalar = Scalar::from_bytes_mod_order([0x5a; 32]);
    Ok([
        median_ms(times, || drop(black_box(key.evaluate(blinding.blinded())))),
        median_ms(times, || drop(black_box(Blinding::of(numbers.to_vec())))),
        median_ms(times, || drop(black_box(blinding.tags(&evaluated, &proof, &public)))),
        median_ms(times, || {
            for _ in 0..elements {
                black_box(black_box(point) * black_box(scalar));
            }
        }),
    ])
}

fn median_ms(times: usize, mut run: impl FnMut()) -> f64 {
    let one = |_| {
        let began = Instant::now();
        run();
        began.elapsed().as_secs_f64() * 1e3
    };
    let mut all: Vec<f64> = (0..times).map(one).collect();
    all.sort_unstable_by(f64::total_cmp);
    quantile(&all, 0.5)
}

/// Bytes, ms to build, ns a look.
fn filter(users: usize) -> Fallible<(usize, f64, f64)> {
    let locators: Vec<Locator> = (0..users).map(|_| Locator::random()).collect();
    let began = Instant::now();
    let bytes = Filter::build("beijing".parse()?, 1, locators.iter().copied())?.to_bytes();
    let built_ms = began.elapsed().as_secs_f64() * 1e3;
    let filter = Filter::from_bytes(&bytes)?;
    let began = Instant::now();
    let found = locators.iter().filter(|locator| filter.has(locator)).count();
    let looked_ns = began.elapsed().as_secs_f64() * 1e9 / users as f64;
    if found == users {
        Ok((bytes.len(), built_ms, looked_ns))
    } else {
        Err("the filter misses a user".into())
    }
}
