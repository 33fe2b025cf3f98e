//! The guard against a real PostgreSQL: each numbered finding of the design and each reproduction of
//! the attacks as a test, with explicit interleavings instead of sleeps. Where a test's comment says
//! "Catches", the breakage was tried or is the one that the attack reproduced.

mod admission;
mod adoption;
mod chaos;
mod fence;
mod fires;
mod keys;
mod lease;
mod modes;
mod owner;
mod shop;
mod states;
mod subtree;
