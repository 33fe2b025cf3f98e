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
