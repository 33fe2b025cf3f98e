//! Text laid out on 80 columns: wrapped paragraphs and plain tables.

use crate::screen::WIDTH;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// Wraps `text` so that no line is longer than [`WIDTH`], the first behind `first`, the others behind
/// as many spaces. A single word that is longer than the line stays whole: it may be a path to paste.
pub fn wrapped(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let mut out = String::from(first);
    for (number, paragraph) in text.lines().enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
        }
        // What is indented was laid out by whoever wrote it: source lines, carets, lists.
        if paragraph.starts_with(' ') {
            out.push_str(paragraph);
            continue;
        }
        wrap_one(&mut out, paragraph, indent);
    }
    out
}

fn wrap_one(out: &mut String, paragraph: &str, indent: usize) {
    let mut column = indent;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
}

/// A table without lines: columns two spaces apart, those named in `right` flush right.
pub fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH as u16);
    if !header.is_empty() {
        table.set_header(header.iter().map(|h| Cell::new(h.to_owned())));
    }
    for row in rows {
        table.add_row(row);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if at == 0 { 0 } else { 1 }, 1));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Every line behind `margin`.
pub fn indented(margin: &str, text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{line}") })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_under_each_other() {
        let text = wrapped("why: ", &"word ".repeat(30));
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().nth(1).is_some_and(|l| l.starts_with("     word")));
        assert_eq!(wrapped("a: ", "b\n  c  d"), "a: b\n     c  d");
        let long = "x".repeat(120);
        assert_eq!(wrapped("", &long), long);
    }

    #[test]
    fn numbers_stand_flush_right() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["bcd".into(), "1,000".into()]];
        let text = table(&["what", "rows"], &[1], rows);
        assert_eq!(text, "what   rows\na         1\nbcd   1,000");
    }
}
