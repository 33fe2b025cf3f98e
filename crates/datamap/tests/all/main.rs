//! The data map from catalogue to layout, on shapes of databases.

mod chinook;
mod differences;
mod ordering;
mod refused;
mod shapes;
mod tables;
