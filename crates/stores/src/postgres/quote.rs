//! The only place where PostgreSQL identifiers and literals become SQL text.
//!
//! Values travel as parameters wherever the protocol allows it; `COPY` and DDL take none, and for them
//! alone there are [`literal`] and [`array`]. They rely on `standard_conforming_strings = on`, which
//! every connection pins (`connect::PINNED`).

use domicile_datamap::catalogue::TableName;

/// `"name"`, quotes doubled.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."name"`.
pub(super) fn table(name: &TableName) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.name))
}

/// `alias."column"`.
pub(super) fn column(alias: &str, name: &str) -> String {
    format!("{alias}.{}", ident(name))
}

/// `'text'`, quotes doubled.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `'{"a","b"}'`: an array's text form as a literal, to be cast by the caller.
pub(super) fn array<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let mut body = String::from("{");
    for item in items {
        if body.len() > 1 {
            body.push(',');
        }
        body.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                body.push('\\');
            }
            body.push(c);
        }
        body.push('"');
    }
    body.push('}');
    literal(&body)
}

/// An expression of type text as a value of the type, as the type's own input reads it. Of the casts from text
/// that PostgreSQL has, the one to `regclass` reads less: no `-` for none, and no number.
pub(super) fn parsed(expression: &str, type_name: &str) -> String {
    match type_name {
        "regclass" => format!("regclassin(textout({expression}))"),
        _ => format!("{expression}::{}", cast(type_name)),
    }
}

/// A column as an element of a key's JSON array, which `parsed` reads back. Built-in scalars stand there as JSON
/// gives them. Arrays, composites and documents would nest: they stand as their text, and so does whatever
/// is not known to be a scalar.
pub(super) fn key_element(column: &str, type_name: &str) -> String {
    if is_scalar(type_name) { column.to_owned() } else { format!("{column}::text") }
}

/// Is it a built-in type whose values are scalars in JSON?
pub(super) fn is_scalar(type_name: &str) -> bool {
    const SCALARS: [&str; 25] = [
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "money",
        "boolean",
        "text",
        "character varying",
        "character",
        "bpchar",
        "\"char\"",
        "name",
        "uuid",
        "bytea",
        "date",
        "interval",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "bit",
        "bit varying",
        "oid",
    ];
    let bare = type_name.split('(').next().unwrap_or_default();
    let timed = bare.starts_with("timestamp") || bare == "time" || bare.starts_with("time with");
    !type_name.ends_with("[]") && (timed || SCALARS.contains(&bare) || bare.starts_with("interval "))
}

/// The type to cast text to so that nothing is cut off silently: an explicit cast to `varchar(5)`
/// truncates, the assignment that follows a cast to `varchar` refuses. `bpchar` and `varbit` are the
/// names of `character` and `bit` without their implied length of one.
pub(super) fn cast(type_name: &str) -> String {
    if let Some(element) = type_name.strip_suffix("[]") {
        return format!("{}[]", cast(element));
    }
    if type_name.contains('"') {
        return type_name.to_owned();
    }
    let bare = match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", &type_name[..open], &type_name[close + 1..])
        }
        _ => type_name.to_owned(),
    };
    match bare.as_str() {
        "character" => "bpchar".to_owned(),
        "bit" => "varbit".to_owned(),
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_quotes() {
        assert_eq!(ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(table(&TableName::new("Ünï", "o'x")), r#""Ünï"."o'x""#);
        assert_eq!(literal("it's \\"), r"'it''s \'");
        assert_eq!(array(["a", r#"b"\"#, "c'd", ""]), r#"'{"a","b\"\\","c''d",""}'"#);
        assert_eq!(array([]), "'{}'");
    }

    #[test]
    fn only_scalars_stand_in_keys_as_they_are() {
        for plain in [
            "integer",
            "numeric(10,2)",
            "timestamp(3) with time zone",
            "time without time zone",
            "\"char\"",
            "interval(0)",
        ] {
            assert_eq!(key_element("c", plain), "c", "{plain}");
        }
        for nested in [
            "integer[]",
            "jsonb",
            "public.pair",
            "public.wait",
            "tstzrange",
            "pg_lsn",
            "character(3)[]",
            "public.\"text\"",
        ] {
            assert_eq!(key_element("c", nested), "c::text", "{nested}");
        }
    }

    #[test]
    fn casts_never_cut() {
        for (from, to) in [
            ("character varying(20)", "character varying"),
            ("character(5)", "bpchar"),
            ("character(5)[]", "bpchar[]"),
            ("numeric(10,2)", "numeric"),
            ("timestamp(3) without time zone", "timestamp without time zone"),
            ("bit(4)", "varbit"),
            ("\"char\"", "\"char\""),
            ("shop.\"odd(name)\"", "shop.\"odd(name)\""),
            ("integer", "integer"),
        ] {
            assert_eq!(cast(from), to);
        }
    }
}
