//! The command line as a user meets it: the binary is run, and what it prints is pinned whole.
//!
//! Accept new words with `INSTA_UPDATE=always cargo test -p domicile-cli`, then read the diff.

mod audit;
mod bad_config;
mod bad_input;
mod certificates;
mod claims;
mod demo;
mod down;
mod grants;
mod handsets;
mod interrupted;
mod logins;
mod messaging;
mod network;
mod next_steps;
mod numbers;
mod odd_ids;
mod public;
mod receipts;
mod residual;
mod restored;
mod served;
mod served_directory;
mod servers;
mod services;
mod shop;
mod signup;
mod stopped;
mod triggers;
mod walk;
mod watched;
mod words;
mod workers;
mod writers;
