//! Real servers
