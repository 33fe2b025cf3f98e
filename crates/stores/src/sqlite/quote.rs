//! How names and literals are written into SQL, and how a row's key is written as text.

/// An identifier in double quotes.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal in single quotes.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `alias."a", alias."b"`.
pub(crate) fn columns<S: AsRef<str>>(alias: &str, names: &[S]) -> String {
    names.iter().map(|n| column(alias, n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `alias."name"`, or `"name"` where the alias is empty.
pub(crate) fn column(alias: &str, name: &str) -> String {
    if alias.is_empty() { ident(name) } else { format!("{alias}.{}", ident(name)) }
}

/// The expression that writes a row's primary key as [`crate::records::Key`]: a JSON array with one
/// element a key column, blobs as `{"x":"<hex in lower case>"}`. The guard's triggers record it and
/// the mover reads it back with [`key_part`], so both must use this one. `alias` may be `NEW` or `OLD`.
/// Works on SQLite 3.38, the oldest that an application may bring.
pub(crate) fn key_json<S: AsRef<str>>(alias: &str, key: &[S]) -> String {
    let parts: Vec<_> = key
        .iter()
        .map(|name| {
            let c = column(alias, name.as_ref());
            format!("CASE typeof({c}) WHEN 'blob' THEN json_object('x', lower(hex({c}))) ELSE {c} END")
        })
        .collect();
    format!("json_array({})", parts.join(", "))
}

/// The typed value of the key's part `n` (from 0) out of the JSON text `json`. Only for the mover's
/// own connections: it needs `unhex`.
pub(crate) fn key_part(json: &str, n: usize) -> String {
    format!(
        "CASE json_type({json}, '$[{n}]') WHEN 'object' THEN unhex({json} ->> '$[{n}].x') \
         ELSE json_extract({json}, '$[{n}]') END"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A key written and read back is the same value of the same storage class.
    #[test]
    fn keys_survive_the_way_through_text() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            r#"create table "t ""q"(a, b);
               insert into "t ""q" values (1, 'a'), (-9223372036854775808, '"\ü€'), (9223372036854775807, ''),
               ('1', x'00ff'), (0.1, x''), (1.5e300, '{"x":"00"}'), (1e999, char(0) || 'x'), (-1e999, '[1]'),
               (1.0, 'null'), (0.30000000000000004, 'true'), (5e-324, 2.5), (123456789.123456789, -0.0)"#,
        )
        .unwrap();
        let sql = format!(
            "select k, typeof(a) = typeof(a2) and a is a2, typeof(b) = typeof(b2) and b is b2 from (
               select a, b, k, {} a2, {} b2 from (select a, b, {} k from {}))",
            key_part("k", 0),
            key_part("k", 1),
            key_json("", &["a", "b"]),
            ident("t \"q"),
        );
        let mut statement = conn.prepare(&sql).unwrap();
        let rows = statement
            .query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, bool>(1)?, r.get::<_, bool>(2)?)))
            .unwrap();
        let all: Vec<_> = rows.map(Result::unwrap).collect();
        assert_eq!(all.len(), 12);
        for (key, a, b) in all {
            assert!(a && b, "{key}: {a} {b}");
        }
    }
}
