//! Answers become fields: the map as it is meant once its questions are answered.

use crate::catalogue::{Catalogue, Table, TableName};
use crate::layout::WithoutRow;
use crate::map::*;
use crate::owner::{free_columns, kind_by, mapped, owner_columns, strays};
use crate::problem::Problem;
use crate::relations::{by_label, references, whole};
use crate::words;
use std::collections::BTreeSet;

/// The map with its answers filled in.
pub(crate) struct Settled {
    pub(crate) map: DataMap,
    /// Questions without a usable answer: what they ask about is not reported a second time.
    pub(crate) open: BTreeSet<Ask>,
    pub(crate) problems: Vec<Problem>,
}

/// Fills the answers in.
pub(crate) fn settle(map: &DataMap, catalogue: &Catalogue) -> Settled {
    let mut settled = Settled { map: map.clone(), open: BTreeSet::new(), problems: Vec::new() };
    let mut questions: Vec<&Question> = map.questions.iter().collect();
    questions.sort_by_key(|q| (turn(&q.ask), q.ask.clone()));
    for question in questions {
        settled.take(question, catalogue);
    }
    settled
}

/// What excludes a table comes before what is asked about its rows, and whose a row is before the
/// question about its other sides.
fn turn(ask: &Ask) -> u8 {
    match ask {
        Ask::Root | Ask::Country | Ask::Stores => 0,
        Ask::Storage(_) | Ask::Key(_) => 1,
        Ask::Reach(_) | Ask::Owner(_) => 2,
        Ask::Personal(_) | Ask::Ownerless(_) => 3,
        Ask::Other(_) | Ask::Trigger(..) | Ask::Object(..) => 4,
    }
}

impl Settled {
    fn take(&mut self, question: &Question, catalogue: &Catalogue) {
        if self.moot(&question.ask) {
            return;
        }
        if question.answer.is_empty() {
            self.open.insert(question.ask.clone());
            self.problems.push(unanswered(question));
            return;
        }
        let free = question.ask == Ask::Country || question.answer == Other::CopyToBoth.word();
        if !free && !question.choices.contains(&question.answer) {
            self.wrong(question, format!("one of: {}", question.choices.join(", ")));
            return;
        }
        self.apply(question, catalogue);
    }

    /// Another answer has made the question pointless.
    fn moot(&self, ask: &Ask) -> bool {
        let Some(rule) = ask.table().and_then(|t| self.map.tables.get(t)) else { return false };
        match (&rule.kind, ask) {
            (Kind::Excluded { .. }, Ask::Storage(_) | Ask::Key(_)) => false,
            (Kind::Excluded { .. }, _) => true,
            (Kind::Direct { .. } | Kind::Derived { .. }, Ask::Personal(_)) => true,
            _ => false,
        }
    }

    fn apply(&mut self, question: &Question, catalogue: &Catalogue) {
        let answer = question.answer.as_str();
        match &question.ask {
            Ask::Root => self.root(answer),
            Ask::Country => match answer.parse() {
                Ok(path) => self.country(question, path),
                Err(why) => self.wrong(question, format!("a column or a path; {why}")),
            },
            Ask::Stores => self.stores(answer),
            Ask::Owner(table) => self.owner(question, table, catalogue),
            Ask::Other(table) => self.other(question, table, catalogue),
            Ask::Ownerless(table) if answer == "refuse" => self.rule(table, |r| r.ownerless_refused = true),
            Ask::Reach(table) => self.reach(question, table),
            Ask::Personal(table) => self.personal(question, table),
            Ask::Ownerless(table) | Ask::Storage(table) | Ask::Key(table) => {
                if answer.starts_with("exclude") {
                    self.exclude(table, &question.ask, answer == "exclude-drop-key", catalogue);
                }
            }
            Ask::Trigger(table, name) if answer == "safe" => self.safe(table, name),
            Ask::Trigger(..) => {}
            Ask::Object(table, column) => {
                if let Some(without_row) = WithoutRow::from_word(answer) {
                    self.objects(table, column, without_row);
                }
            }
        }
    }

    fn wrong(&mut self, question: &Question, wanted: String) {
        self.open.insert(question.ask.clone());
        self.problems.push(Problem {
            code: "map-answer-wrong",
            table: question.ask.table().cloned(),
            what: format!(
                "the answer `{}` to question `{}` is not understood",
                question.answer, question.ask
            ),
            why: "nothing is guessed: an answer is one of the question's choices".to_owned(),
            fix: format!("write {wanted}"),
        });
    }

    /// The field was already written by hand and says something else.
    fn contradicted(&mut self, question: &Question, written: String) {
        self.problems.push(Problem {
            code: "map-answer-contradicts",
            table: question.ask.table().cloned(),
            what: format!(
                "question `{}` is answered `{}`, but the map says {written}",
                question.ask, question.answer
            ),
            why: "either could be meant".to_owned(),
            fix: "remove the question, or change the map to agree with it".to_owned(),
        });
    }

    fn rule(&mut self, table: &TableName, change: impl FnOnce(&mut TableRule)) {
        if let Some(rule) = self.map.tables.get_mut(table) {
            change(rule);
        }
    }

    /// Sets the kind, unless the user has written another one by hand.
    fn kind(&mut self, question: &Question, table: &TableName, kind: Kind) {
        let Some(rule) = self.map.tables.get_mut(table) else { return };
        if rule.kind == Kind::Undecided {
            rule.kind = kind;
        } else if rule.kind != kind {
            self.contradicted(question, "another `kind` for the table".to_owned());
        }
    }

    fn root(&mut self, answer: &str) {
        let table = &self.map.subject.table;
        if answer != table.to_string() {
            let what = format!("the root is answered to be {answer}, but this map was written for {table}");
            let why = "every table's way to the subject depends on the root";
            let fix = format!("run `domicile init --root '{answer}'`; it writes the map anew");
            self.problems.push(Problem::new("map-root-differs", what, why, fix));
        }
    }

    fn country(&mut self, question: &Question, path: crate::name::Path) {
        match &self.map.subject.country {
            Some(written) if *written != path => {
                self.contradicted(question, format!("country = \"{written}\""))
            }
            _ => self.map.subject.country = Some(path),
        }
    }

    fn stores(&mut self, answer: &str) {
        let declared = self.map.declared.len();
        if (answer == "none") == (declared == 0) {
            return;
        }
        let (what, fix) = if answer == "none" {
            let what = format!("other stores are answered `none`, but {declared} are declared");
            (what, "answer `declared`, or remove the [[declared]] entries")
        } else {
            let what = "other stores are answered `declared`, but none is".to_owned();
            (what, "add for each: [[declared]] with name = \"search-index\" and note = \"rebuilt nightly\"")
        };
        let why = "every receipt lists the stores that were not moved";
        self.problems.push(Problem::new("map-stores-undeclared", what, why, fix.to_owned()));
    }

    fn owner(&mut self, question: &Question, table: &TableName, catalogue: &Catalogue) {
        let Some(found) = catalogue.table(table) else { return };
        match by_label(found, &question.answer) {
            Some(key) => {
                let reference = crate::relations::Reference { key, to: whole(catalogue, &key.references) };
                let kind = kind_by(&self.map.subject, reference);
                self.kind(question, table, kind);
            }
            None => {
                self.wrong(question, "a foreign key that the table has now; it is gone since init".to_owned())
            }
        }
    }

    fn reach(&mut self, question: &Question, table: &TableName) {
        let kind = match question.answer.as_str() {
            "reference" => Kind::Reference { personal: None },
            "excluded" => Kind::Excluded { reason: "nothing ties it to a subject".to_owned() },
            column => {
                let category = words::category(&table.name).unwrap_or("other").to_owned();
                self.rule(table, |rule| rule.category = category);
                Kind::Direct { subject: column.to_owned() }
            }
        };
        self.kind(question, table, kind);
    }

    fn personal(&mut self, question: &Question, table: &TableName) {
        let Some(answer) = PersonalAnswer::from_word(&question.answer) else { return };
        let Some(rule) = self.map.tables.get_mut(table) else { return };
        if let Kind::Reference { personal } = &mut rule.kind {
            match personal {
                Some(written) if *written != answer => {
                    let written = format!("personal = \"{}\"", written.word());
                    self.contradicted(question, written);
                }
                _ => *personal = Some(answer),
            }
        }
    }

    fn exclude(&mut self, table: &TableName, ask: &Ask, drop_key: bool, catalogue: &Catalogue) {
        let mapped: BTreeSet<TableName> = mapped(&self.map).into_iter().cloned().collect();
        let found = catalogue.table(table);
        self.rule(table, |rule| {
            rule.kind = Kind::Excluded { reason: reason(ask).to_owned() };
            if let (true, Some(found)) = (drop_key, found) {
                for reference in references(catalogue, found).filter(|r| mapped.contains(r.to)) {
                    for column in &reference.key.columns {
                        rule.other.entry(column.clone()).or_insert(Other::KeepId);
                    }
                }
            }
        });
    }

    fn other(&mut self, question: &Question, table: &TableName, catalogue: &Catalogue) {
        let (Some(answer), Some(found)) = (Other::from_word(&question.answer), catalogue.table(table)) else {
            return;
        };
        let columns = self.stray_columns(question, found, catalogue);
        let entries = if *table == self.map.subject.table {
            Some(&mut self.map.subject.other)
        } else {
            self.map.tables.get_mut(table).map(|rule| &mut rule.other)
        };
        if let Some(entries) = entries {
            for column in columns {
                entries.entry(column).or_insert(answer);
            }
        }
    }

    /// Columns the answer is for: those the question names that do not hold the owner's path and lead
    /// to another side still, or to nothing since their foreign key was dropped.
    fn stray_columns(&self, question: &Question, table: &Table, catalogue: &Catalogue) -> Vec<String> {
        let owner = self.map.tables.get(&table.name).map_or(&[][..], |rule| owner_columns(&rule.kind));
        let strays = strays(&self.map, catalogue, table, &mapped(&self.map));
        let asked = question.columns.iter().filter(|c| !owner.contains(c) && table.column(c).is_some());
        asked
            .filter(|c| {
                strays.iter().any(|r| free_columns(*r, owner).contains(c))
                    || !table.foreign_keys.iter().any(|key| key.columns.contains(c))
            })
            .cloned()
            .collect()
    }

    fn safe(&mut self, table: &TableName, trigger: &str) {
        let listed = if *table == self.map.subject.table {
            Some(&mut self.map.subject.safe_triggers)
        } else {
            self.map.tables.get_mut(table).map(|rule| &mut rule.safe_triggers)
        };
        if let Some(listed) = listed.filter(|l| !l.iter().any(|t| t == trigger)) {
            listed.push(trigger.to_owned());
        }
    }

    fn objects(&mut self, table: &TableName, column: &str, without_row: WithoutRow) {
        let source = ObjectFrom::Column { table: table.clone(), column: column.to_owned() };
        if !self.map.objects.iter().any(|entry| entry.source == source) {
            self.map.objects.push(ObjectEntry { source, without_row, category: "media".to_owned() });
        }
    }
}

fn unanswered(question: &Question) -> Problem {
    let choices = match question.choices.as_slice() {
        [] => "text".to_owned(),
        choices => choices.join(" | "),
    };
    Problem {
        code: "map-question-unanswered",
        table: question.ask.table().cloned(),
        what: format!("question `{}` has no answer: {}", question.ask, question.text),
        why: "Domicile never guesses which data belongs to whom".to_owned(),
        fix: format!("in datamap.toml, at id = \"{}\", write answer = one of: {choices}", question.ask),
    }
}

/// The reason an answer gives for an exclusion; stands on receipts.
fn reason(ask: &Ask) -> &'static str {
    match ask {
        Ask::Storage(_) => "not an ordinary table",
        Ask::Key(_) => "has no primary key",
        _ => "its rows may have no owner",
    }
}
