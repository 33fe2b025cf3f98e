//! One wave for all tests: the shop's customers from Beijing to Oregon.

use domicile_ledger::*;
use jiff::Timestamp;
use std::io::Cursor;
use std::sync::LazyLock;

pub struct Keys {
    pub beijing: SigningKey,
    pub oregon: SigningKey,
    pub secret: ReceiptSecret,
}

impl Keys {
    pub fn trusted(&self) -> [VerifyingKey; 2] {
        [self.beijing.verifying_key().clone(), self.oregon.verifying_key().clone()]
    }
}

pub static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    beijing: SigningKey::generate("maker.example/beijing").unwrap(),
    oregon: SigningKey::generate("oregon").unwrap(),
    secret: ReceiptSecret::generate().unwrap(),
});

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn region(id: &str, country: &str) -> Region {
    Region { id: id.into(), country: country.into(), operator: "CN".into(), location: Location::Declared }
}

pub fn record() -> WaveRecord {
    let left = |table: &str, rows, reason: &str| {
        vec![TableLeft { table: table.into(), rows, reason: reason.into() }]
    };
    WaveRecord {
        id: "w7".into(),
        service: "shop".into(),
        source: region("beijing", "CN"),
        target: Region {
            location: Location::Attested { by: "the data centre's auditor".into() },
            ..region("oregon", "US")
        },
        policy: Policy {
            hash: "p".repeat(64),
            laws: vec![Law {
                law: "PDPA 2012, s. 26".into(),
                reason: "no transfer without comparable protection".into(),
            }],
        },
        map_hash: "a".repeat(64),
        plan_hash: "b".repeat(64),
        times: Times {
            planned_at: at("2014-10-01T00:00:00Z"),
            started_at: at("2014-10-02T00:00:00Z"),
            ended_at: at("2014-10-02T01:00:00.5Z"),
            signed_at: at("2014-10-02T01:00:01Z"),
        },
        excluded: left("public.audit", Some(12), "kept by law"),
        reference: left("public.product", Some(900), "shared: copied where absent"),
        unmapped: left("public.forgotten", None, "the data map does not know it"),
        not_moved: vec![StoreNotMoved { name: "search-index".into(), note: "rebuilt nightly".into() }],
        dropped_foreign_keys: vec![DroppedForeignKey {
            table: "public.gift".into(),
            constraint: "gift_to_fkey".into(),
        }],
        standbys: Standbys::none_listed("its replication lag"),
        erasure: Erasure::Pending(Pending { grace_ends_at: at("2014-11-01T00:00:00Z") }),
        residue_searches: vec![],
        residue: vec![Residue {
            field: "claim(email) as HMAC".into(),
            place: "directory".into(),
            reason: "unique names".into(),
            ends: None,
        }],
        not_proven: vec!["that staff kept no spreadsheets".into()],
    }
}

pub fn subject(id: &str) -> SubjectMove {
    let n = id.len() as u64;
    let rows = |table: &str| TableRows {
        table: table.into(),
        rows: n,
        bytes: 100 * n,
        digest: Digest([n as u8; 32]),
    };
    SubjectMove {
        subject: id.into(),
        epoch_before: 1,
        epoch_after: 2,
        tables: vec![rows("public.orders"), rows("public.customer")],
        objects: Some(Objects { count: 2, bytes: 65_536, digest: Digest([9; 32]) }),
        fenced_at: Some(at("2014-10-02T00:30:00.123456Z")),
        pause_us: Some(9_000 + n),
        logically_erased_at: None,
        outcome: Outcome::Moved,
    }
}

pub fn stayed(id: &str) -> SubjectMove {
    SubjectMove {
        epoch_after: 1,
        tables: vec![],
        objects: None,
        pause_us: None,
        outcome: Outcome::Stayed { code: "straggler".into() },
        ..subject(id)
    }
}

pub fn write(record: WaveRecord, subjects: Vec<SubjectMove>) -> Result<Vec<u8>> {
    let mut writer = ReceiptWriter::new(&record.id, &KEYS.secret, Cursor::new(Vec::new()));
    for s in subjects {
        writer.push(s)?;
    }
    let mut out = Vec::new();
    let written = writer.finish(record, &KEYS.beijing, &KEYS.oregon, &mut out)?;
    assert_eq!(written.bytes, out.len() as u64);
    Ok(out)
}

pub fn file(ids: &[&str]) -> Vec<u8> {
    write(record(), ids.iter().map(|i| subject(i)).collect()).unwrap()
}

pub fn single(file: &[u8], id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    extract(Cursor::new(file), id, &KEYS.secret, &mut out).unwrap();
    out
}

/// Why the file is refused; panics where it is accepted.
pub fn refused(file: &[u8]) -> String {
    verify(file, &KEYS.trusted()).unwrap_err().to_string()
}
