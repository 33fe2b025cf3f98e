//! Names and values in SQL as `pg_dump` writes it.

/// A row's values as the database has them; `None` is null.
pub(super) type Fields = Vec<Option<Vec<u8>>>;

/// A table with the columns of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Target {
    pub schema: String,
    pub table: String,
    /// Empty where the statement names none.
    pub columns: Vec<String>,
}

/// `public.customer (id, "E mail") ...`: the target and what stands behind it.
pub(super) fn target(text: &str) -> Option<(Target, &str)> {
    let (first, mut rest) = name(text)?;
    let (schema, table) = match rest.strip_prefix('.') {
        Some(behind) => {
            let (table, behind) = name(behind)?;
            rest = behind;
            (first, table)
        }
        None => (String::new(), first),
    };
    let mut columns = Vec::new();
    rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('(') {
        loop {
            let (column, behind) = name(inside.trim_start())?;
            columns.push(column);
            let behind = behind.trim_start();
            match behind.strip_prefix(',') {
                Some(more) => inside = more,
                None => {
                    rest = behind.strip_prefix(')')?;
                    break;
                }
            }
        }
    }
    Some((Target { schema, table, columns }, rest))
}

fn name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut out, mut rest) = (String::new(), quoted);
    loop {
        let end = rest.find('"')?;
        out.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => return Some((out, rest)),
        }
    }
}

/// The header of a COPY: `COPY public.customer (id, email) FROM stdin;`.
pub(super) fn copy(line: &[u8]) -> Option<Target> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let (target, rest) = target(text.strip_prefix("COPY ")?)?;
    rest.trim_start().starts_with("FROM stdin").then_some(target)
}

/// The value of a field of COPY; `None` is null.
pub(super) fn field(raw: &[u8]) -> Option<Vec<u8>> {
    if raw == b"\\N" {
        return None;
    }
    let (mut out, mut at) = (Vec::with_capacity(raw.len()), 0);
    while at < raw.len() {
        if raw[at] != b'\\' || at + 1 == raw.len() {
            out.push(raw[at]);
            at += 1;
            continue;
        }
        out.push(match raw[at + 1] {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        });
        at += 2;
    }
    Some(bytes_of(out))
}

/// The bytes of a `bytea` as it is printed, `\x2b34...`; anything else as it is.
pub(super) fn bytes_of(value: Vec<u8>) -> Vec<u8> {
    let Some(digits) =
        value.strip_prefix(b"\\x").filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)
    else {
        return value;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = digits.chunks_exact(2).map(|two| Some(digit(two[0])? << 4 | digit(two[1])?));
    bytes.collect::<Option<Vec<u8>>>().unwrap_or(value)
}

/// How far an INSERT has come: whether a quote is open at the end of what was read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Open {
    text: bool,
    name: bool,
}

impl Open {
    /// Goes over more of the statement. True: it ends there.
    pub(super) fn ends(&mut self, line: &[u8]) -> bool {
        for byte in line {
            match byte {
                b'\'' if !self.name => self.text = !self.text,
                b'"' if !self.text => self.name = !self.name,
                _ => {}
            }
        }
        !self.text && !self.name && line.trim_ascii_end().ends_with(b";")
    }
}

/// The rows of `VALUES (1, 'a''b', NULL), (2, ...);`, each value as the database has it; `None`: not of that form.
pub(super) fn values(text: &[u8]) -> Option<Vec<Fields>> {
    let mut rows = Vec::new();
    let mut rest = text.trim_ascii_start();
    while let Some(inside) = rest.strip_prefix(b"(") {
        let (row, behind) = row(inside)?;
        rows.push(row);
        rest = behind.trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
    (!rows.is_empty()).then_some(rows)
}

fn row(mut rest: &[u8]) -> Option<(Fields, &[u8])> {
    let mut row = Vec::new();
    loop {
        let (value, behind) = value(rest)?;
        row.push(value);
        match behind.split_first()? {
            (b',', more) => rest = more,
            (b')', more) => return Some((row, more)),
            _ => return None,
        }
    }
}

/// One value up to the comma or bracket behind it.
fn value(text: &[u8]) -> Option<(Option<Vec<u8>>, &[u8])> {
    let (mut out, mut at, mut quoted, mut depth) = (Vec::new(), 0, false, 0_u32);
    let text = text.trim_ascii_start();
    loop {
        match *text.get(at)? {
            b'\'' if text.get(at + 1) == Some(&b'\'') && quoted => {
                out.push(b'\'');
                at += 1;
            }
            b'\'' => quoted = !quoted,
            b',' | b')' if !quoted && depth == 0 => break,
            byte => {
                match byte {
                    b'(' | b'[' if !quoted => depth += 1,
                    b')' | b']' if !quoted => depth = depth.saturating_sub(1),
                    _ => {}
                }
                out.push(byte);
            }
        }
        at += 1;
    }
    let value = if out == b"NULL" { None } else { Some(bytes_of(out)) };
    Some((value, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_copy() {
        let target =
            copy(b"COPY public.\"Ta \"\"ble\" (id, \"E mail\", geb\xc3\xbchr) FROM stdin;\n").unwrap();
        assert_eq!((target.schema.as_str(), target.table.as_str()), ("public", "Ta \"ble"));
        assert_eq!(target.columns, ["id", "E mail", "geb\u{fc}hr"]);
        assert_eq!(copy(b"COPY t FROM stdin;").unwrap().table, "t");
        for not in ["COPY public.t TO stdout;", "COPY ", "COPYING t FROM stdin", "COPY t (a FROM stdin;"] {
            assert_eq!(copy(not.as_bytes()), None, "{not}");
        }
    }

    #[test]
    fn values_as_the_database_has_them() {
        assert_eq!(field(b"\\N"), None);
        assert_eq!(field(b"a\\tb\\\\c\\n").unwrap(), b"a\tb\\c\n");
        assert_eq!(field(b"\\\\x2b34").unwrap(), b"+4");
        assert_eq!(field(b"\\\\x2b3").unwrap(), b"\\x2b3");
        let rows =
            values(b"(1, 'a''b, (c', NULL, '\\x2b34'),\n\t(-2.5, '{1,2}', ARRAY[1, 2], true);").unwrap();
        assert_eq!(rows[0], [Some(b"1".to_vec()), Some(b"a'b, (c".to_vec()), None, Some(b"+4".to_vec())]);
        assert_eq!(rows[1][2].as_deref(), Some(&b"ARRAY[1, 2]"[..]));
        assert_eq!(values(b"(1, 'open"), None);
        let mut open = Open::default();
        assert!(!open.ends(b"INSERT INTO t VALUES ('a;\n") && open.ends(b"b');\n"));
    }
}
