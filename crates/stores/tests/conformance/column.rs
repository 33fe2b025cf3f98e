//! What stands in one column of some subjects' rows.

use crate::suite::{Fixture, subject};
use domicile_stores::records::SubjectId;

const PERSON: usize = 0;
const ORDERS: usize = 1;
const ITEM: usize = 2;

/// In the root, in a table with the subject's key, in one below it; of the subjects asked for and of nobody else.
pub async fn of_subjects(fixture: &dyn Fixture) {
    let pair = fixture.pair("column").await;
    let records = &pair.source.records;
    let read = |table, column: &'static str, ids: &'static [u32]| {
        let subjects: Vec<SubjectId> = ids.iter().map(|id| subject(*id)).collect();
        async move {
            let mut found = records.column(table, column, &subjects).await.expect(column);
            found.sort();
            found.into_iter().map(|(s, text)| format!("{} {text}", s.0)).collect::<Vec<_>>()
        }
    };
    // NULL is nothing, an empty text is one.
    assert_eq!(read(PERSON, "email", &[1, 2, 3]).await, ["1 ann@example", "3 c"]);
    assert_eq!(read(ORDERS, "note", &[1, 2]).await, ["1 ", "1 tab\tand\nline", "2 \\N"]);
    assert_eq!(read(ITEM, "what", &[1, 3]).await, ["1 ", "1 a", "3 stays"]);
    assert_eq!(read(ITEM, "n", &[2]).await, ["2 1"], "any type, as text");
    assert_eq!(read(PERSON, "email", &[9]).await, [""; 0]);
    assert_eq!(read(PERSON, "email", &[]).await, [""; 0]);
    let unknown = records.column(PERSON, "e\"mail", &[subject(1)]).await;
    assert!(unknown.is_err(), "{unknown:?}");
}
