//! A real gateway between real sockets, over a real directory.

mod hostile;
mod lease;
mod lines;
mod moving;
mod passing;
mod public;
mod town;
