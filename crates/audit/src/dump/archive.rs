//! An archive's data: blocks of packed COPY rows and large objects, in one file or in a folder.

use super::entries::{Contents, Entry, Packing, Reader, wrong};
use super::plain;
use crate::{Examiner, Gap, Place, Step};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Kinds of blocks.
const BLOCK_DATA: u8 = 1;
const BLOCK_LARGE_OBJECTS: u8 = 3;

/// Searches an archive in one file. What is wrong with it is noted as unseen.
pub(super) fn read(place: &Place, source: impl Read, examiner: &mut Examiner<'_>) -> io::Result<()> {
    let mut reader = Reader::new(BufReader::with_capacity(256 << 10, source));
    let read = contents(place, &mut reader, examiner).and_then(|contents| match contents.in_files {
        true => {
            examiner.unseen(place, Gap::Unread, "a list of contents whose data is in other files");
            Ok(())
        }
        false => blocks(place, &contents, &mut reader, examiner),
    });
    broken(place, read, examiner)
}

/// A dump that is cut or damaged is said; only the source's own errors go on.
fn broken(place: &Place, read: io::Result<()>, examiner: &mut Examiner<'_>) -> io::Result<()> {
    match read {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
            ) =>
        {
            examiner.unseen(
                place,
                Gap::Damaged,
                format!("an archive of pg_dump, read as far as it could be understood: {error}"),
            );
            Ok(())
        }
        other => other,
    }
}

fn contents<R: Read>(
    place: &Place,
    reader: &mut Reader<R>,
    examiner: &mut Examiner<'_>,
) -> io::Result<Contents> {
    let mut texts = Vec::new();
    let contents = reader.contents(&mut texts);
    let list = place.then(Step::Member("list of contents".to_owned()));
    examiner.read(&list, &texts[..])?;
    contents
}

fn blocks<R: Read>(
    place: &Place,
    contents: &Contents,
    reader: &mut Reader<R>,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    while let Some(kind) = reader.block()? {
        let id = reader.int()?;
        match kind {
            BLOCK_DATA => {
                let entry = contents.entries.iter().find(|entry| entry.id == id);
                block(place, entry, contents.packing, reader, examiner)?;
            }
            BLOCK_LARGE_OBJECTS => loop {
                let oid = reader.int()?;
                if oid == 0 {
                    break;
                }
                let at = large_object(place, oid);
                let read = unpacked(
                    contents.packing,
                    true,
                    Chunks::new(reader),
                    &at,
                    examiner,
                    |bytes, examiner| examiner.read(&at, bytes),
                );
                read?;
            },
            other => return Err(wrong(&format!("a block of kind {other}"))),
        }
    }
    Ok(())
}

fn large_object(place: &Place, oid: i64) -> Place {
    place
        .then(Step::Table("pg_catalog".to_owned(), "pg_largeobject".to_owned()))
        .then(Step::Key(oid.to_string()))
}

fn block<R: Read>(
    place: &Place,
    entry: Option<&Entry>,
    packing: Packing,
    reader: &mut Reader<R>,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    unpacked(packing, true, Chunks::new(reader), place, examiner, |bytes, examiner| {
        rows(place, entry, bytes, examiner)
    })
}

fn rows(
    place: &Place,
    entry: Option<&Entry>,
    bytes: &mut dyn Read,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    match entry.and_then(|entry| entry.target.as_ref()) {
        Some(target) if !target.columns.is_empty() => plain::read_rows(place, target, bytes, examiner),
        // `pg_dump --inserts`, or a table without columns: SQL.
        _ => plain::read(place, bytes, examiner),
    }
}

/// Hands the unpacked bytes of `packed` over, and reads what is left of it in any case.
fn unpacked<'w, P: Read>(
    packing: Packing,
    in_archive: bool,
    mut packed: P,
    place: &Place,
    examiner: &mut Examiner<'w>,
    search: impl FnOnce(&mut dyn Read, &mut Examiner<'w>) -> io::Result<()>,
) -> io::Result<()> {
    let searched = match packing {
        Packing::None => search(&mut packed, examiner),
        Packing::Gzip if in_archive => search(&mut flate2::read::ZlibDecoder::new(&mut packed), examiner),
        Packing::Gzip => search(&mut flate2::read::MultiGzDecoder::new(&mut packed), examiner),
        Packing::Zstd => match ruzstd::decoding::StreamingDecoder::new(&mut packed) {
            Ok(mut decoder) => search(&mut decoder, examiner),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
        },
        Packing::Lz4 => {
            let why = "data packed by lz4, which is not opened: dump with --compress=gzip or zstd";
            examiner.unseen(place, Gap::Unopened, why);
            Ok(())
        }
    };
    if let Err(error) = searched {
        examiner.unseen(
            place,
            Gap::Damaged,
            format!("packed data that could not be unpacked to its end: {error}"),
        );
    }
    io::copy(&mut packed, &mut io::sink()).map(drop)
}

/// One block's bytes.
struct Chunks<'r, R> {
    reader: &'r mut Reader<R>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'r, R: Read> Chunks<'r, R> {
    fn new(reader: &'r mut Reader<R>) -> Self {
        Self { reader, chunk: Vec::new(), at: 0, ended: false }
    }
}

impl<R: Read> Read for Chunks<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() && !self.ended {
            // After an error there is nothing more: the next block could not be found.
            (self.at, self.ended) = (0, true);
            self.reader.chunk(&mut self.chunk)?;
            self.ended = self.chunk.is_empty();
        }
        let taken = (&self.chunk[self.at..]).read(into)?;
        self.at += taken;
        Ok(taken)
    }
}

/// Searches a folder that `pg_dump -Fd` wrote.
pub(super) fn read_folder(place: &Place, dir: &Path, examiner: &mut Examiner<'_>) -> io::Result<Vec<String>> {
    let at = |name: &str| Place::from(Step::File(dir.join(name).to_string_lossy().into_owned()));
    let toc = super::open(&dir.join("toc.dat"))?;
    let mut reader = Reader::new(BufReader::new(toc));
    let contents = match contents(&at("toc.dat"), &mut reader, examiner) {
        Ok(contents) => contents,
        Err(error) => return broken(place, Err(error), examiner).map(|()| vec!["toc.dat".to_owned()]),
    };
    let mut read = vec!["toc.dat".to_owned()];
    for entry in &contents.entries {
        let Some(file) = &entry.file else { continue };
        // The list is a stranger's: nothing outside the folder is opened.
        if Path::new(file).components().count() != 1 || file.starts_with('.') {
            examiner.unseen(place, Gap::Damaged, "a file of data that is named outside the folder");
            continue;
        }
        if entry.large_objects {
            // A list of files; those are read as files.
            continue;
        }
        if let Some((name, packing, bytes)) = open_packed(dir, file) {
            let place = at(&name);
            let bytes = BufReader::new(bytes);
            unpacked(packing, false, bytes, &place, examiner, |bytes, examiner| {
                rows(&place, Some(entry), bytes, examiner)
            })?;
            read.push(name);
        } else {
            let why = "a file of data that the list of contents names, and that is not there";
            examiner.unseen(&at(file), Gap::Unread, why);
        }
    }
    Ok(read)
}

/// The file, or the same with the ending that tells how it is packed.
fn open_packed(dir: &Path, file: &str) -> Option<(String, Packing, File)> {
    let endings =
        [("", Packing::None), (".gz", Packing::Gzip), (".zst", Packing::Zstd), (".lz4", Packing::Lz4)];
    endings.into_iter().find_map(|(ending, packing)| {
        let name = format!("{file}{ending}");
        super::open(&dir.join(&name)).ok().map(|opened| (name, packing, opened))
    })
}
