//! The 2014 test: what a handset sends, seen from outside. Started by `cargo xtask privacy-test`.

fn main() {}
