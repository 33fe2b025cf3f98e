//! How long a contact discovery takes on one core, beside what no implementation can do without: `cargo run --release
//! -p domicile-messaging --example discovery`.

#![allow(clippy::print_stdout)]

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use domicile_messaging::discovery::{Blinding, DiscoveryKey, Filter};
use domicile_messaging::number::Number;
use domicile_messaging::wire::Locator;
use std::time::{Duration, Instant};

const CONTACTS: usize = 500;
const RUNS: u32 = 40;

/// The time of one run, the middle one of [`RUNS`].
fn middle(mut run: impl FnMut()) -> Duration {
    let mut all: Vec<_> = (0..RUNS)
        .map(|_| {
            let from = Instant::now();
            run();
            from.elapsed()
        })
        .collect();
    all.sort_unstable();
    all[all.len() / 2]
}

fn main() {
    let key = DiscoveryKey::generate();
    let numbers: Vec<Number> =
        (0..CONTACTS).map(|i| format!("+86139{i:08}").parse().expect("a number")).collect();
    let blinding = Blinding::of(numbers.clone()).expect("500 fit");
    let elements = blinding.blinded().len();
    let evaluate = middle(|| drop(key.evaluate(blinding.blinded()).expect("a batch")));
    let (evaluated, proof) = key.evaluate(blinding.blinded()).expect("a batch");
    let blind = middle(|| drop(Blinding::of(numbers.clone())));
    let public = key.public_key();
    let finish = middle(|| drop(blinding.tags(&evaluated, &proof, &public).expect("tags")));
    let point = RistrettoPoint::mul_base(&Scalar::from(7_u64));
    let scalar = Scalar::from_bytes_mod_order([0x5a; 32]);
    let bare = middle(|| {
        (0..elements).for_each(|_| {
            std::hint::black_box(point * scalar);
        })
    });

    println!(
        "server, {elements} elements with proof: {evaluate:.2?}, {:.1} syncs/s a core",
        1.0 / evaluate.as_secs_f64()
    );
    println!(
        "as many bare scalar multiplications: {bare:.2?}, {:.2} of the server's time",
        bare.as_secs_f64() / evaluate.as_secs_f64()
    );
    println!("device, blinding: {blind:.2?}; checking the proof and unblinding: {finish:.2?}");
    let locators = (0..1_000_000).map(|_| Locator::random());
    let from = Instant::now();
    let filter = Filter::build("beijing".parse().expect("a name"), 1, locators).expect("a filter");
    println!(
        "filter of {} users: {} bytes, built in {:.2?}",
        filter.entries(),
        filter.to_bytes().len(),
        from.elapsed()
    );
}
