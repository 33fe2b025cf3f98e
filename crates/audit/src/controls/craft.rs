//! Containers made around a canary: the other side of what the audit opens, and no more of it than the controls need.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

/// RFC 1952.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    written(encoder.write_all(bytes).and_then(|()| encoder.finish()))
}

/// RFC 1950.
pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    written(encoder.write_all(bytes).and_then(|()| encoder.finish()))
}

/// RFC 1951.
pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    written(encoder.write_all(bytes).and_then(|()| encoder.finish()))
}

/// Writing to memory does not fail; if it did, an empty container would make its control be missed.
fn written(bytes: std::io::Result<Vec<u8>>) -> Vec<u8> {
    bytes.unwrap_or_default()
}

/// RFC 8878.
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// A POSIX tar of one member.
pub(crate) fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = tar_member(name, b'0', bytes);
    archive.extend_from_slice(&[0; 1024]);
    archive
}

/// One member of a tar, padded.
pub(crate) fn tar_member(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut member = header.to_vec();
    member.extend_from_slice(bytes);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

/// How a member of a zip lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zipped {
    Stored,
    Deflated,
    /// Deflated, its sizes behind it.
    Streamed,
    /// zip64: its sizes in the extra field.
    Large,
}

/// A zip of one member, with its directory.
pub(crate) fn zip(name: &str, bytes: &[u8], how: Zipped) -> Vec<u8> {
    let mut archive = zip_member(name, bytes, how);
    let directory = u32::try_from(archive.len()).unwrap_or(u32::MAX);
    let mut entry = b"PK\x01\x02\x14\x00".to_vec();
    entry.extend_from_slice(&archive[4..30].to_vec());
    entry.extend_from_slice(&[0; 14]);
    entry.extend_from_slice(name.as_bytes());
    let size = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    archive.extend_from_slice(&entry);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend_from_slice(&size.to_le_bytes());
    archive.extend_from_slice(&directory.to_le_bytes());
    archive.extend_from_slice(&[0; 2]);
    archive
}

/// One member of a zip without a directory.
pub(crate) fn zip_member(name: &str, bytes: &[u8], how: Zipped) -> Vec<u8> {
    let packed = if how == Zipped::Stored { bytes.to_vec() } else { deflate(bytes) };
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let size = |of: &[u8]| u32::try_from(of.len()).unwrap_or(u32::MAX).to_le_bytes();
    let (packed_size, whole_size) = match how {
        Zipped::Streamed => ([0; 4], [0; 4]),
        Zipped::Large => ([0xff; 4], [0xff; 4]),
        _ => (size(&packed), size(bytes)),
    };
    let mut extra = Vec::new();
    if how == Zipped::Large {
        extra.extend_from_slice(&[1, 0, 16, 0]);
        extra.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        extra.extend_from_slice(&(packed.len() as u64).to_le_bytes());
    }
    let mut member = b"PK\x03\x04\x14\x00".to_vec();
    member.extend_from_slice(&[if how == Zipped::Streamed { 8 } else { 0 }, 0]);
    member.extend_from_slice(&[if how == Zipped::Stored { 0 } else { 8 }, 0, 0, 0, 0, 0]);
    member.extend_from_slice(&if how == Zipped::Streamed { [0; 4] } else { crc.sum().to_le_bytes() });
    member.extend_from_slice(&packed_size);
    member.extend_from_slice(&whole_size);
    member.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    member.extend_from_slice(&u16::try_from(extra.len()).unwrap_or(u16::MAX).to_le_bytes());
    member.extend_from_slice(name.as_bytes());
    member.extend_from_slice(&extra);
    member.extend_from_slice(&packed);
    if how == Zipped::Streamed {
        member.extend_from_slice(b"PK\x07\x08");
        member.extend_from_slice(&crc.sum().to_le_bytes());
        member.extend_from_slice(&size(&packed));
        member.extend_from_slice(&size(bytes));
    }
    member
}
