//! How tables, columns and paths are written in the data map: `schema.table`, `schema.table.column`,
//! `fk_column->column`. A part that holds a separator or a quote stands in double quotes, a quote in
//! it doubled, as in SQL.

use crate::catalogue::TableName;
use std::fmt;
use std::str::FromStr;

/// One part of a dotted name, quoted where it must be.
pub(crate) fn part(text: &str) -> String {
    if text.is_empty() || text.contains(['.', '"']) { quoted(text) } else { text.to_owned() }
}

/// One step of a path, quoted where it must be.
fn step(text: &str) -> String {
    if text.is_empty() || text.contains(['-', '>', '"']) { quoted(text) } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Splits at `separator`, but not inside quotes. The error is a sentence for the user.
pub(crate) fn split(text: &str, separator: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (one, after) = match rest.strip_prefix('"') {
            Some(inner) => unquote(text, inner)?,
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if one.is_empty() && !rest.starts_with('"') {
            return Err(format!("`{text}` has an empty part"));
        }
        if !rest.starts_with('"') && one.contains('"') {
            return Err(format!("`{text}` has a quote inside an unquoted part"));
        }
        parts.push(one);
        if after.is_empty() {
            return Ok(parts);
        }
        rest = after
            .strip_prefix(separator)
            .ok_or_else(|| format!("`{text}`: after a quoted part comes `{separator}` or the end"))?;
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote<'a>(whole: &str, inner: &'a str) -> Result<(String, &'a str), String> {
    let mut out = String::new();
    let mut rest = inner;
    loop {
        let at = rest.find('"').ok_or_else(|| format!("`{whole}` has an unclosed quote"))?;
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => return Ok((out, rest)),
        }
    }
}

impl TableName {
    /// Reads `schema.table`; the inverse of `Display`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match split(text, ".")?.as_slice() {
            [schema, name] => Ok(Self::new(schema, name)),
            _ => Err(format!("`{text}` is not written as `schema.table`")),
        }
    }

    /// `schema.table.column`, as questions name a column or a trigger.
    pub fn with(&self, item: &str) -> String {
        format!("{self}.{}", part(item))
    }

    /// Reads `schema.table.item`; the inverse of [`TableName::with`].
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse_with(text: &str) -> Result<(Self, String), String> {
        match split(text, ".")?.as_slice() {
            [schema, name, item] => Ok((Self::new(schema, name), item.clone())),
            _ => Err(format!("`{text}` is not written as `schema.table.item`")),
        }
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// A path as the user writes it: foreign keys to follow from the root (by column, or by constraint
/// name), then the column, e.g. `address_id->city_id->country_code`. Resolved by `check`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Foreign keys to follow, each named by its only column or by its constraint.
    pub hops: Vec<String>,
    /// The column at the end.
    pub column: String,
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut hops = split(text, "->")?;
        let column = hops.pop().ok_or_else(|| "the path is empty".to_owned())?;
        Ok(Self { hops, column })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hop in &self.hops {
            write!(f, "{}->", step(hop))?;
        }
        write!(f, "{}", step(&self.column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_table_name_reads_back(schema in "[a-z.\" \u{e9}>-]{0,6}", name in "\\PC{0,8}") {
            let table = TableName::new(schema, name);
            prop_assert_eq!(TableName::parse(&table.to_string()), Ok(table));
        }

        #[test]
        fn a_named_item_reads_back(name in "[a-z.\"]{0,6}", item in "[a-z.\":]{0,8}") {
            let table = TableName::new("public", name);
            prop_assert_eq!(TableName::parse_with(&table.with(&item)), Ok((table, item)));
        }

        #[test]
        fn a_path_reads_back(hops in proptest::collection::vec("[a-z.\">-]{0,5}", 0..4), column in "[a-z\">-]{0,5}") {
            let path = Path { hops, column };
            prop_assert_eq!(path.to_string().parse::<Path>(), Ok(path));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,20}") {
            let _ = TableName::parse(&text);
            let _ = text.parse::<Path>();
        }
    }

    #[test]
    fn wrong_names_are_refused_with_a_reason() {
        for (text, says) in [
            ("customer", "schema.table"),
            ("a.b.c", "schema.table"),
            ("a.", "empty part"),
            (".b", "empty part"),
            ("a.\"b", "unclosed"),
            ("a.\"b\"c", "after a quoted part"),
            ("a.b\"c", "quote inside"),
        ] {
            let why = TableName::parse(text).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
        assert_eq!(TableName::parse("\"x.y\".z"), Ok(TableName::new("x.y", "z")));
    }
}
