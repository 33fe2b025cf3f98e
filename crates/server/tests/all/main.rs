//! A real gateway between real sockets, over a real directory.

mod fuzzed;
mod hostile;
mod moving;
mod passing;
mod receiver;
mod town;
mod traced;
