//! The sample on both engines: its routes, the two answers of the contract, the load, and a checker that finds
//! what was planted.

mod contract;
mod found;
mod site;
