//! What a stranger with a receipts file can and can't do.

mod every_byte;
mod hostile;
mod receipts;
mod sample;
