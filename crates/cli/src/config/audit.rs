//! `[audit]`: which columns hold what a person can be found by, and what is known of hosts.

use super::fault::Fault;
use super::meaning::{below, country};
use super::nearest;
use super::typed::Text;
use domicile_audit::Kind;
use domicile_datamap::TableName;
use domicile_policy::Country;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Kinds by their words.
const KINDS: [(&str, Kind); 5] = [
    ("phone", Kind::Phone),
    ("email", Kind::Email),
    ("imei", Kind::Imei),
    ("imsi", Kind::Imsi),
    ("free", Kind::Free),
];

/// As typed.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[audit]` with identifiers")]
pub(super) struct TypedAudit {
    #[serde(default)]
    identifiers: Vec<Spanned<TypedColumn>>,
    hosts: Option<String>,
    country: Option<Text>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an identifier: { kind = \"email\", column = \"public.customer.email\" }"
)]
struct TypedColumn {
    kind: Text,
    column: Text,
}

/// What it means.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// Columns with identifiers.
    pub identifiers: Vec<IdentifierColumn>,
    /// A table of hosts.
    pub hosts: Option<PathBuf>,
    /// In which country numbers without a country code are written.
    pub country: Option<Country>,
}

/// A column with identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifierColumn {
    /// What stands in it.
    pub kind: Kind,
    /// Its table, which must be a mapped one.
    pub table: TableName,
    /// Its name.
    pub column: String,
}

impl IdentifierColumn {
    /// `KIND:schema.table.column`, as it is typed on the command line.
    pub fn typed(text: &str) -> Option<Self> {
        let (kind, column) = text.split_once(':')?;
        let (_, kind) = KINDS.into_iter().find(|(word, _)| *word == kind.trim())?;
        let (table, column) = TableName::parse_with(column.trim()).ok()?;
        Some(Self { kind, table, column })
    }
}

impl std::fmt::Display for IdentifierColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.table.with(&self.column))
    }
}

pub(super) fn of(typed: &TypedAudit, base: &Path) -> Result<Audit, Fault> {
    Ok(Audit {
        identifiers: typed.identifiers.iter().map(column).collect::<Result<_, _>>()?,
        hosts: typed.hosts.as_ref().map(|path| below(base, path)),
        country: typed.country.as_ref().map(country).transpose()?,
    })
}

fn column(typed: &Spanned<TypedColumn>) -> Result<IdentifierColumn, Fault> {
    let TypedColumn { kind, column } = typed.get_ref();
    let known = KINDS.into_iter().find(|(word, _)| word == kind.get_ref());
    let Some((_, kind)) = known else {
        let words = KINDS.map(|(word, _)| word);
        let what = format!("`{}` is no kind of identifier", kind.get_ref());
        let why = "each kind is looked for in forms of its own";
        let fix = match nearest(kind.get_ref(), &words) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("one of: {}", words.join(", ")),
        };
        return Err(Fault::new(kind.span().start, "config-audit", what, why, fix));
    };
    let (table, name) = TableName::parse_with(column.get_ref()).map_err(|_| {
        let what = format!("`{}` is not written as a column", column.get_ref());
        let why = "a column is named with its table: schema.table.column";
        let fix = "write for example \"public.customer.email\" (SQLite: \"main.customer.email\")";
        Fault::new(column.span().start, "config-audit", what, why, fix)
    })?;
    Ok(IdentifierColumn { kind, table, column: name })
}
