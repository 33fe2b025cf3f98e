//! A `CREATE TABLE` statement cut into words, for the little that no pragma tells.

/// A `REFERENCES` clause.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// The table referred to, unquoted.
    pub(crate) table: String,
    /// `DEFERRABLE` stands there, without NOT.
    pub(crate) deferrable: bool,
    /// `DEFERRABLE INITIALLY DEFERRED`.
    pub(crate) initially_deferred: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A keyword or a plain name.
    Word(String),
    /// A quoted name or a literal: never a keyword.
    Quoted(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// The statement's foreign keys in the order they are written.
pub(crate) fn references(sql: &str) -> Vec<Clause> {
    let tokens = tokens(sql);
    let mut all = Vec::new();
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            // Depth 1 is the list of columns and constraints; deeper stand expressions.
            token if depth == 1 && token.is("references") => all.extend(clause(&tokens[at + 1..])),
            _ => {}
        }
    }
    all
}

/// AUTOINCREMENT stands in the statement as a keyword.
pub(crate) fn says_autoincrement(sql: &str) -> bool {
    tokens(sql).iter().any(|token| token.is("autoincrement"))
}

/// What follows the word REFERENCES: a table, its columns, actions, and at last DEFERRABLE.
fn clause(tokens: &[Token]) -> Option<Clause> {
    let (Token::Word(table) | Token::Quoted(table)) = tokens.first()? else { return None };
    let mut clause = Clause { table: table.clone(), deferrable: false, initially_deferred: false };
    let mut rest = &tokens[1..];
    if rest.first() == Some(&Token::Sign('(')) {
        let end = rest.iter().position(|t| *t == Token::Sign(')'))?;
        rest = &rest[end + 1..];
    }
    loop {
        let is = |n: usize, word: &str| rest.get(n).is_some_and(|t| t.is(word));
        let taken = if is(0, "on") {
            // ON DELETE CASCADE, ON UPDATE SET NULL, ON DELETE NO ACTION
            if is(2, "set") || is(2, "no") { 4 } else { 3 }
        } else if is(0, "match") || (is(0, "not") && is(1, "deferrable")) {
            2
        } else if is(0, "deferrable") {
            clause.deferrable = true;
            1
        } else if is(0, "initially") {
            clause.initially_deferred = clause.deferrable && is(1, "deferred");
            2
        } else {
            return Some(clause);
        };
        rest = rest.get(taken..)?;
    }
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut all = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let ends_after =
            |end: &str| rest[first.len_utf8()..].find(end).map(|n| n + first.len_utf8() + end.len());
        let length = match first {
            '-' if rest.starts_with("--") => ends_after("\n").unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |n| n + 4),
            '\'' | '"' | '`' | '[' => {
                let close = if first == '[' { ']' } else { first };
                let length = quoted_length(rest, close);
                let inside = &rest[1..(length - 1).max(1)];
                all.push(Token::Quoted(if first == '[' {
                    inside.to_owned()
                } else {
                    inside.replace(&format!("{close}{close}"), &close.to_string())
                }));
                length
            }
            c if c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii() => {
                let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
                let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
                all.push(Token::Word(rest[..length].to_owned()));
                length
            }
            c if c.is_whitespace() => c.len_utf8(),
            c => {
                all.push(Token::Sign(c));
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    all
}

/// Length in bytes of the quoted part at the start of `text`, quotes included; a doubled quote is one
/// inside (but for brackets).
fn quoted_length(text: &str, close: char) -> usize {
    let mut from = 1;
    while let Some(found) = text[from..].find(close) {
        let end = from + found + close.len_utf8();
        if close == ']' || !text[end..].starts_with(close) {
            return end;
        }
        from = end + close.len_utf8();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &[(&str, bool, bool)]) {
        let found: Vec<_> =
            references(sql).into_iter().map(|c| (c.table, c.deferrable, c.initially_deferred)).collect();
        let expected: Vec<_> = expected.iter().map(|(t, d, i)| ((*t).to_owned(), *d, *i)).collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn clauses_are_found_in_their_order() {
        check(
            "CREATE TABLE t(a INT REFERENCES x, b REFERENCES \"y \"\"z\"(q) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
             c REFERENCES [w] NOT DEFERRABLE INITIALLY DEFERRED, d references v on update no action on delete cascade
             match full deferrable, CONSTRAINT k FOREIGN KEY (a, b) REFERENCES u(a, b) deferrable initially immediate)",
            &[
                ("x", false, false),
                ("y \"z", true, true),
                ("w", false, false),
                ("v", true, false),
                ("u", true, false),
            ],
        );
    }

    #[test]
    fn words_in_text_comments_and_expressions_do_not_count() {
        check(
            "CREATE TABLE t(a DEFAULT 'REFERENCES x', -- references y\n b /* references z */ CHECK (b <> ' references '),
             \"references\" REFERENCES real /* DEFERRABLE */ -- DEFERRABLE\n, c DEFAULT 'it''s DEFERRABLE')",
            &[("real", false, false)],
        );
    }

    #[test]
    fn broken_text_is_survived() {
        for sql in [
            "",
            "'",
            "\"a",
            "[",
            "create table t(a references",
            "t(a references x(",
            "/*",
            "--",
            "(references x on",
        ] {
            let _ = references(sql);
        }
    }

    #[test]
    fn autoincrement_is_a_keyword() {
        assert!(says_autoincrement("create table t(id integer primary key AutoIncrement)"));
        assert!(!says_autoincrement(
            "create table t(\"autoincrement\" integer primary key, b default 'autoincrement')"
        ));
    }
}
