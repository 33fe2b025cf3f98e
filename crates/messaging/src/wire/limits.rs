//! Limits on everything that a stranger can make grow, each with its unit and its reason.

/// A request's body, bytes: 1 024 blinded elements take 47 KB, the longest message 86 KB.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;
/// An answer's body that a device reads, bytes: a page of messages is the longest ([`PAGE_BYTES_MAX`] in base64).
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// A filter that a device reads, bytes: 12 million users of one region.
pub const FILTER_BYTES_MAX: usize = 64 << 20;

/// A message's body as sent, bytes: the biggest padded text ([`PADDED_BYTES`]) and what Olm adds to it.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Sizes to which texts are padded before they are encrypted, bytes: who sees a body learns one of four sizes.
pub const PADDED_BYTES: [usize; 4] = [256, 1 << 10, 8 << 10, 60 << 10];
/// How long a message may wait for its receiver, seconds: 30 days.
pub const MESSAGE_EXPIRES_S_MAX: u32 = 30 * 24 * 3600;
/// The shortest wait, seconds.
pub const MESSAGE_EXPIRES_S_MIN: u32 = 1;
/// Messages in one answer.
pub const PAGE_MESSAGES_MAX: usize = 100;
/// Bytes of bodies in one answer, at most; a page has at least one message.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// Messages waiting in one mailbox: a flood stops here, with `mailbox-full`.
pub const MAILBOX_MESSAGES_MAX: usize = 2_000;
/// Bytes waiting in one mailbox.
pub const MAILBOX_BYTES_MAX: usize = 32 << 20;
/// How long a device may wait for a message in one request, seconds: below what NATs and proxies cut.
pub const WAIT_S_MAX: u32 = 60;

/// Sizes of a batch of blinded numbers: a device pads to the next one, so its size says little of its contacts.
pub const EVALUATE_SIZES: [usize; 6] = [16, 64, 128, 256, 512, 1024];
/// The biggest batch.
pub const EVALUATE_MAX: usize = 1024;
/// Sizes of a lookup, padded with random locators.
pub const LOOKUP_SIZES: [usize; 3] = [8, 32, 128];
/// The biggest lookup.
pub const LOOKUP_MAX: usize = 128;
/// Blinded elements that an account may have evaluated in one generation: a full address book.
pub const BUDGET_PER_GENERATION: u64 = 5_000;
/// Blinded elements a day beyond: new contacts.
pub const BUDGET_PER_DAY: u64 = 200;
/// Regions of one service.
pub const REGIONS_MAX: usize = 64;
/// Generations of keys that a region has published at once: the current one, and those that end.
pub const GENERATIONS_MAX: usize = 4;

/// One-time keys in one call.
pub const ONE_TIME_KEYS_MAX: usize = 100;
/// One-time keys kept for one mailbox: two calls' worth; what is more is not kept.
pub const ONE_TIME_KEYS_KEPT_MAX: usize = 200;
/// Mailboxes that may see one's presence.
pub const VIEWERS_MAX: usize = 1_000;

/// How long a token holds, seconds. Withdrawing does not wait for it.
pub const TOKEN_S: i64 = 600;
/// A token's text, bytes.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// How far a proof's time may be from the relay's clock, seconds.
pub const PROOF_SKEW_S: i64 = 120;
/// A proof's text, bytes.
pub const PROOF_BYTES_MAX: usize = 256;
/// Proofs that a relay remembers against replay; beyond, it answers `busy` and never forgets one early.
pub const PROOFS_REMEMBERED_MAX: usize = 2_000_000;
/// A path with its query, bytes.
pub const PATH_BYTES_MAX: usize = 1024;

/// Digits of a one-time code: with the codes that a relay sends in an hour (10,000) and the tries that each has, who tries them all day
/// long is right once in some months. Six digits would give a number away every day.
pub const CODE_DIGITS: usize = 8;
/// How long a code can be used, seconds.
pub const CODE_S: i64 = 600;
/// Wrong codes before an attempt is over.
pub const CODE_TRIES_MAX: u32 = 3;

/// A consent record, bytes of JSON.
pub const RECORD_BYTES_MAX: usize = 16 << 10;
/// A short text in a record or statement, bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// Entries of a list in a consent record.
pub const RECORD_LIST_MAX: usize = 16;
/// How long the consent of a device is kept that does not register, seconds: 30 days.
pub const WAITING_S: i64 = 30 * 24 * 3600;
