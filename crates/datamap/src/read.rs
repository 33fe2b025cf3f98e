//! From the file's text to [`DataMap`], in two steps: what was typed (serde, unknown keys refused),
//! then what it means. Both steps name the line.

use crate::catalogue::Engine;
use crate::layout::{DeclaredStore, WithoutRow};
use crate::map::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// The file can't be read as a data map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ReadError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the line, in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

type Text = Spanned<String>;
/// A byte offset into the file and what is wrong there.
type Wrong = (usize, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a data map")]
struct RawMap {
    version: Spanned<u32>,
    engine: Text,
    subject: RawSubject,
    #[serde(default)]
    tables: BTreeMap<Text, RawRule>,
    #[serde(default)]
    objects: Vec<Spanned<RawObject>>,
    #[serde(default)]
    declared: Vec<RawDeclared>,
    #[serde(default, rename = "question")]
    questions: Vec<RawQuestion>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of keys: `[subject]` with table, key, category and country"
)]
struct RawSubject {
    table: Text,
    key: String,
    category: String,
    country: Option<Text>,
    citizenship: Option<Text>,
    flags: Option<Text>,
    consents: Option<Text>,
    #[serde(default)]
    other: BTreeMap<String, Text>,
    #[serde(default)]
    safe_triggers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of keys, such as { kind = \"direct\", category = \"...\" }"
)]
struct RawRule {
    kind: Option<Text>,
    category: Option<String>,
    subject: Option<String>,
    parent: Option<Text>,
    via: Option<Vec<String>>,
    personal: Option<Text>,
    reason: Option<String>,
    ownerless: Option<Text>,
    #[serde(default)]
    other: BTreeMap<String, Text>,
    #[serde(default)]
    safe_triggers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of keys: `[[objects]]` with a prefix, or a table and a column"
)]
struct RawObject {
    table: Option<Text>,
    column: Option<String>,
    prefix: Option<String>,
    without_row: Text,
    category: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[declared]]` with name and note")]
struct RawDeclared {
    name: String,
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[question]]` with id, text and answer")]
struct RawQuestion {
    id: Text,
    text: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    choices: Vec<String>,
    #[serde(default)]
    answer: String,
}

impl DataMap {
    /// Reads the text of `datamap.toml`.
    ///
    /// # Errors
    /// The first thing that can't be read, with its line: TOML, an unknown key, a missing one, a word
    /// that is no choice, a name not written as `schema.table`.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let error = |(at, message): Wrong| {
            let (line, column) = place_of(text, at);
            ReadError { line, column, message }
        };
        let raw: RawMap = toml::from_str(text)
            .map_err(|e| error((e.span().map_or(0, |s| s.start), in_the_files_words(e.message()))))?;
        meaning(raw).map_err(error)
    }
}

/// Line and column of a byte, both from 1.
fn place_of(text: &str, at: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&text.as_bytes()[..at.min(text.len())]);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// What a parser of TOML or JSON says, in words of the file instead of words of this program: `invalid
/// type: integer, expected a sequence` is about a list.
pub fn in_the_files_words(message: &str) -> String {
    const WORDS: [(&str, &str); 19] = [
        ("\n", ", "),
        ("invalid type: ", "wrong type: "),
        ("invalid value: ", "wrong value: "),
        ("invalid length ", "wrong length "),
        ("unknown field ", "unknown key "),
        ("missing field ", "missing key "),
        ("duplicate field ", "twice the key "),
        ("expected usize", "expected a whole number from 0 on"),
        ("expected u64", "expected a whole number from 0 on"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list"),
        ("expected a borrowed string", "expected a text"),
        ("expected a string", "expected a text"),
        ("string \"", "the text \""),
        ("floating point ", "the number "),
    ];
    // The parser keeps what fits nothing else in its widest type, and names that.
    let wide = message.split_once(" as i128").or_else(|| message.split_once(" as u128"));
    if let Some((_, number)) = wide.and_then(|(before, _)| before.split_once("integer ")) {
        return format!("the number {number} is too large");
    }
    let mut said = message.trim().to_owned();
    for (from, to) in WORDS {
        said = said.replace(from, to);
    }
    for (from, to) in [
        (": integer ", ": the number "),
        (": sequence", ": a list"),
        (": map", ": a table"),
        (": boolean ", ": "),
    ] {
        said = said.replace(from, to);
    }
    said.replace("expected a map", "expected a table of keys")
}

fn meaning(raw: RawMap) -> Result<DataMap, Wrong> {
    if *raw.version.get_ref() != VERSION {
        let found = raw.version.get_ref();
        return Err((raw.version.span().start, format!("version {found} is not known, only {VERSION}")));
    }
    let mut tables = BTreeMap::new();
    for (name, rule) in raw.tables {
        tables.insert(parsed(&name)?, rule_meaning(&name, rule)?);
    }
    Ok(DataMap {
        version: VERSION,
        engine: word(&raw.engine, Engine::from_word, Engine::WORDS)?,
        subject: subject_meaning(raw.subject)?,
        tables,
        objects: raw.objects.into_iter().map(object_meaning).collect::<Result<_, _>>()?,
        declared: raw.declared.into_iter().map(|d| DeclaredStore { name: d.name, note: d.note }).collect(),
        questions: questions_meaning(raw.questions)?,
    })
}

fn subject_meaning(raw: RawSubject) -> Result<Subject, Wrong> {
    Ok(Subject {
        table: parsed(&raw.table)?,
        key: raw.key,
        category: raw.category,
        country: raw.country.as_ref().filter(|c| !c.get_ref().is_empty()).map(parsed).transpose()?,
        citizenship: raw.citizenship.as_ref().map(parsed).transpose()?,
        flags: raw.flags.as_ref().map(parsed).transpose()?,
        consents: raw.consents.as_ref().map(parsed).transpose()?,
        other: other_meaning(&raw.other)?,
        safe_triggers: raw.safe_triggers,
    })
}

fn rule_meaning(name: &Text, raw: RawRule) -> Result<TableRule, Wrong> {
    let at = name.span().start;
    let kind_word = raw.kind.as_ref().map_or("", |k| k.get_ref().as_str());
    keys_fit_kind(at, kind_word, &raw)?;
    let needs = |what: &str| (at, format!("`kind = \"{kind_word}\"` needs `{what}`"));
    let kind = match kind_word {
        "" => Kind::Undecided,
        "direct" => Kind::Direct { subject: raw.subject.ok_or_else(|| needs("subject"))? },
        "derived" => Kind::Derived {
            parent: parsed(&raw.parent.ok_or_else(|| needs("parent"))?)?,
            via: raw.via.filter(|v| !v.is_empty()).ok_or_else(|| needs("via"))?,
        },
        "reference" => Kind::Reference {
            personal: raw
                .personal
                .map(|p| word(&p, PersonalAnswer::from_word, PersonalAnswer::WORDS))
                .transpose()?,
        },
        "excluded" => Kind::Excluded {
            reason: raw.reason.filter(|r| !r.trim().is_empty()).ok_or_else(|| needs("reason"))?,
        },
        _ => {
            let at = raw.kind.as_ref().map_or(at, |k| k.span().start);
            return Err((at, one_of(kind_word, &["direct", "derived", "reference", "excluded"])));
        }
    };
    if raw.category.is_none() && !matches!(kind, Kind::Excluded { .. }) {
        return Err((at, format!("`{}` needs `category`", name.get_ref())));
    }
    Ok(TableRule {
        kind,
        category: raw.category.unwrap_or_default(),
        ownerless_refused: match raw.ownerless {
            Some(o) if o.get_ref() != "refuse" => {
                return Err((o.span().start, one_of(o.get_ref(), &["refuse"])));
            }
            said => said.is_some(),
        },
        other: other_meaning(&raw.other)?,
        safe_triggers: raw.safe_triggers,
    })
}

/// A key that belongs to another kind is a mistake, not something to ignore.
fn keys_fit_kind(at: usize, kind: &str, raw: &RawRule) -> Result<(), Wrong> {
    let keys = [
        ("subject", raw.subject.is_some(), "direct"),
        ("parent", raw.parent.is_some(), "derived"),
        ("via", raw.via.is_some(), "derived"),
        ("personal", raw.personal.is_some(), "reference"),
        ("reason", raw.reason.is_some(), "excluded"),
    ];
    match keys.iter().find(|(_, there, of)| *there && *of != kind) {
        Some((key, _, of)) => Err((at, format!("`{key}` goes only with `kind = \"{of}\"`"))),
        None => Ok(()),
    }
}

fn other_meaning(raw: &BTreeMap<String, Text>) -> Result<BTreeMap<String, Other>, Wrong> {
    raw.iter().map(|(c, w)| Ok((c.clone(), word(w, Other::from_word, Other::WORDS)?))).collect()
}

fn object_meaning(raw: Spanned<RawObject>) -> Result<ObjectEntry, Wrong> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    let source = match (raw.table, raw.column, raw.prefix) {
        (Some(table), Some(column), None) => ObjectFrom::Column { table: parsed(&table)?, column },
        (None, None, Some(template)) => ObjectFrom::Prefix { template },
        _ => return Err((at, "objects come from `table` and `column`, or from a `prefix`".to_owned())),
    };
    let without_row = word(&raw.without_row, WithoutRow::from_word, WithoutRow::WORDS)?;
    Ok(ObjectEntry { source, without_row, category: raw.category })
}

fn questions_meaning(raw: Vec<RawQuestion>) -> Result<Vec<Question>, Wrong> {
    let mut questions: Vec<Question> = Vec::new();
    for q in raw {
        let ask: Ask = parsed(&q.id)?;
        if questions.iter().any(|other| other.ask == ask) {
            return Err((q.id.span().start, format!("question `{ask}` stands twice")));
        }
        questions.push(Question {
            ask,
            text: q.text,
            columns: q.columns,
            choices: q.choices,
            answer: q.answer.trim().to_owned(),
        });
    }
    Ok(questions)
}

fn parsed<T: std::str::FromStr<Err = String>>(text: &Text) -> Result<T, Wrong> {
    text.get_ref().parse().map_err(|message| (text.span().start, message))
}

fn word<T>(text: &Text, from: impl Fn(&str) -> Option<T>, all: &[&str]) -> Result<T, Wrong> {
    from(text.get_ref()).ok_or_else(|| (text.span().start, one_of(text.get_ref(), all)))
}

fn one_of(found: &str, all: &[&str]) -> String {
    format!("`{found}` is not one of {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableName;

    const HEAD: &str = "version = 1\nengine = \"postgres\"\n[subject]\ntable = \"public.customer\"\nkey = \"id\"\ncategory = \"profile\"\n";

    fn wrong(tail: &str) -> ReadError {
        DataMap::read(&format!("{HEAD}{tail}")).unwrap_err()
    }

    #[test]
    fn the_smallest_map_is_read() {
        let map = DataMap::read(HEAD).unwrap();
        assert_eq!(map.subject.table, TableName::new("public", "customer"));
        assert_eq!(map.subject.country, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (tail, line, says) in [
            ("colour = 1\n", 7, "colour"),
            ("\n[tables]\n\"public.a\" = { kind = \"direkt\", category = \"x\" }\n", 9, "direkt"),
            ("[tables]\n\"public.a\" = { kind = \"direct\", category = \"x\" }\n", 8, "needs `subject`"),
            ("[tables]\n\"public.a\" = { kind = \"direct\", subject = \"c\" }\n", 8, "needs `category`"),
            ("[tables]\na = { kind = \"reference\", category = \"x\" }\n", 8, "schema.table"),
            (
                "[tables]\n\"public.a\" = { kind = \"excluded\", reason = \"x\", via = [\"b\"] }\n",
                8,
                "goes only with",
            ),
            ("[tables]\n\"public.a\" = { kind = \"excluded\" }\n", 8, "needs `reason`"),
            ("[tables]\n\"public.a\" = { kind = \"reference\", categry = \"x\" }\n", 8, "categry"),
            ("other = { b = \"drop\" }\n", 7, "`drop` is not one of keep-id"),
            ("[[objects]]\nprefix = \"x/\"\ncategory = \"media\"\n", 7, "without_row"),
            ("[[objects]]\ncolumn = \"x\"\nwithout_row = \"deny\"\ncategory = \"m\"\n", 7, "objects come"),
            ("[[question]]\nid = \"colour\"\ntext = \"?\"\n", 8, "not a question"),
            (
                "[[question]]\nid = \"root\"\ntext = \"?\"\n[[question]]\nid = \"root\"\ntext = \"?\"\n",
                11,
                "twice",
            ),
            ("country = \"a->\"\n", 7, "empty part"),
            ("x = = 1\n", 7, ""),
        ] {
            let e = wrong(tail);
            assert_eq!(e.line, line, "{tail}{e}");
            assert!(e.message.contains(says), "{tail}{e}");
        }
        let e = DataMap::read(
            "version = 9\nengine = \"postgres\"\n[subject]\ntable=\"a.b\"\nkey=\"k\"\ncategory=\"c\"\n",
        );
        assert_eq!(e.unwrap_err().line, 1);
    }
}
