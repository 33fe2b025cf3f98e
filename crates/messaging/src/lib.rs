//! Opt-in messages between users of different regions: the protocol and the device's side of it.
//!
//! Nothing leaves a device before its owner agrees, and no server ever learns a contact's number.
