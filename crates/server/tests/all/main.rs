//! A real gateway between real sockets, over a real directory.

mod desync;
mod fuzzed;
mod hostile;
mod lease;
mod lines;
mod moving;
mod passing;
mod public;
mod receiver;
mod slow;
mod town;
mod traced;
