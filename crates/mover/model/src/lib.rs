//! A model of the move, explored whole (DESIGN section 12, "What is tested how").
//!
//! It follows the code step by step: each step names the function whose effect it has, and where design
//! and code differ it does what the code does. `docs/model.md` says what is modelled, what is not, and what
//! it found. `cargo xtask model` explores all scopes and all broken variants and prints a table.

pub mod application;
pub mod broken;
pub mod cases;
pub mod directory;
pub mod disk;
pub mod moves;
pub mod properties;
pub mod route;
pub mod run;
pub mod scope;
pub mod state;
pub mod words;
