//! From [`DataMap`] to the file, with the comments that let a newcomer read it without the manual.

use crate::catalogue::{Engine, TableName};
use crate::map::*;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Key, Table, Value, value};

const HEAD: &str = "\
# Which rows belong to whom: Domicile moves these rows and nothing else.
# Written by `domicile init` from the database; it is yours now: edit it, keep it in version control.
# Next: answer the questions (answer = \"...\"), then run `domicile check`.

";
const SUBJECT: &str =
    "\n# One row of this table is one subject: a person or a tenant, whose data moves as one.\n";
const COUNTRY: &str = "\
# Where the subject's country stands: a column, or foreign keys to follow to one (a->b->column).
# In the same way, if your policies ask for them: citizenship = \"...\", flags = \"...\".\n";
const NO_COUNTRY: &str = "\n# country = \"...\"   # the question `country` asks for it";
const QUESTIONS: &str = "\n# What Domicile could not know. `check` refuses until each has an answer.\n";
const TABLES: &str = "\n# Every other table of the database.\n";
const OWNED: &str = "\
# Rows of a subject. They move: direct = the table holds the subject's key in the column `subject`;
# derived = it is found through the columns `via`, a foreign key to `parent`.\n";
const UNDECIDED: &str = "# The questions above decide about these.\n";
const REFERENCE: &str = "# Shared by all subjects: copied to each region, never moved.\n";
const EXCLUDED: &str = "# Not moved, not copied; every receipt lists them with the reason.\n";
const OBJECTS: &str = "\
\n# Files in the object store. without_row = what happens to one that no row names:
# sweep = it moves as well, deny = it must not exist.\n";
const DECLARED: &str = "\n# Stores that Domicile does not move. Every receipt says so.\n";

impl DataMap {
    /// The text of `datamap.toml`. Reading it back gives the same map.
    pub fn write(&self) -> String {
        let mut doc = DocumentMut::new();
        doc.insert("version", value(i64::from(self.version)));
        doc.insert("engine", value(self.engine.word()));
        if let Some(mut key) = doc.key_mut("version") {
            key.leaf_decor_mut().set_prefix(HEAD);
        }
        doc.insert("subject", Item::Table(self.subject_table()));
        if !self.questions.is_empty() {
            doc.insert("question", Item::ArrayOfTables(self.question_tables()));
        }
        doc.insert("tables", Item::Table(self.rule_table()));
        if !self.objects.is_empty() {
            doc.insert("objects", Item::ArrayOfTables(self.object_tables()));
        }
        if !self.declared.is_empty() {
            doc.insert("declared", Item::ArrayOfTables(self.declared_tables()));
        }
        doc.to_string()
    }

    fn subject_table(&self) -> Table {
        let subject = &self.subject;
        let mut table = Table::new();
        table.decor_mut().set_prefix(SUBJECT);
        table.insert("table", value(subject.table.to_string()));
        table.insert("key", value(&subject.key));
        table.insert("category", value(&subject.category));
        let paths = [
            ("country", &subject.country),
            ("citizenship", &subject.citizenship),
            ("flags", &subject.flags),
            ("consents", &subject.consents),
        ];
        for (name, path) in paths {
            if let Some(path) = path {
                table.insert(name, value(path.to_string()));
            }
        }
        match table.key_mut("country") {
            Some(mut key) => key.leaf_decor_mut().set_prefix(COUNTRY),
            None => {
                if let Some(category) = table.get_mut("category").and_then(Item::as_value_mut) {
                    category.decor_mut().set_suffix(NO_COUNTRY);
                }
            }
        }
        for (name, said) in
            [("other", other(&subject.other)), ("safe_triggers", list(&subject.safe_triggers))]
        {
            if let Some(said) = said {
                table.insert(name, Item::Value(said));
            }
        }
        table
    }

    fn question_tables(&self) -> ArrayOfTables {
        let mut all = ArrayOfTables::new();
        for question in &self.questions {
            let mut table = Table::new();
            table.decor_mut().set_prefix(if all.is_empty() { QUESTIONS } else { "\n" });
            table.insert("id", value(question.ask.to_string()));
            table.insert("text", value(&question.text));
            if let Some(columns) = list(&question.columns) {
                table.insert("columns", Item::Value(columns));
            }
            if let Some(choices) = list(&question.choices) {
                table.insert("choices", Item::Value(choices));
            }
            table.insert("answer", value(&question.answer));
            all.push(table);
        }
        all
    }

    /// One line a table, grouped by what happens to it; owners before those that go through them.
    fn rule_table(&self) -> Table {
        let mut table = Table::new();
        table.decor_mut().set_prefix(TABLES);
        for (comment, group) in [(OWNED, 0), (UNDECIDED, 1), (REFERENCE, 2), (EXCLUDED, 3)] {
            let members = self.grouped(group);
            let width = members.iter().map(|(name, _)| Key::new(name.to_string()).to_string().len()).max();
            for (place, (name, rule)) in members.iter().enumerate() {
                let text = name.to_string();
                let mut key = Key::new(&text);
                // A bare key would be a dotted one: always a quoted string, since names hold a dot.
                let pad = width.unwrap_or(0).saturating_sub(key.to_string().len());
                if place == 0 {
                    let gap = if table.is_empty() { "" } else { "\n" };
                    key.leaf_decor_mut().set_prefix(format!("{gap}{comment}"));
                }
                key.leaf_decor_mut().set_suffix(" ".repeat(pad + 1));
                table.insert_formatted(&key, Item::Value(Value::InlineTable(inline(rule))));
            }
        }
        table
    }

    fn grouped(&self, group: usize) -> Vec<(&TableName, &TableRule)> {
        let mut members: Vec<_> = self
            .tables
            .iter()
            .filter(|(_, rule)| {
                group
                    == match rule.kind {
                        Kind::Direct { .. } | Kind::Derived { .. } => 0,
                        Kind::Undecided => 1,
                        Kind::Reference { .. } => 2,
                        Kind::Excluded { .. } => 3,
                    }
            })
            .collect();
        members.sort_by_key(|(name, _)| (self.depth(name), *name));
        members
    }

    /// Steps to the subject; ends on a cycle of parents, which `check` names.
    fn depth(&self, name: &TableName) -> usize {
        let mut depth = 0;
        let mut at = name;
        while let Some(TableRule { kind: Kind::Derived { parent, .. }, .. }) = self.tables.get(at) {
            depth += 1;
            at = parent;
            if depth > self.tables.len() {
                break;
            }
        }
        depth
    }

    fn object_tables(&self) -> ArrayOfTables {
        let mut all = ArrayOfTables::new();
        for entry in &self.objects {
            let mut table = Table::new();
            table.decor_mut().set_prefix(if all.is_empty() { OBJECTS } else { "\n" });
            match &entry.source {
                ObjectFrom::Column { table: name, column } => {
                    table.insert("table", value(name.to_string()));
                    table.insert("column", value(column));
                }
                ObjectFrom::Prefix { template } => {
                    table.insert("prefix", value(template));
                }
            }
            table.insert("without_row", value(entry.without_row.word()));
            table.insert("category", value(&entry.category));
            all.push(table);
        }
        all
    }

    fn declared_tables(&self) -> ArrayOfTables {
        let mut all = ArrayOfTables::new();
        for store in &self.declared {
            let mut table = Table::new();
            table.decor_mut().set_prefix(if all.is_empty() { DECLARED } else { "\n" });
            table.insert("name", value(&store.name));
            table.insert("note", value(&store.note));
            all.push(table);
        }
        all
    }
}

/// Writes an answer into the file's text and leaves everything else, the user's comments too.
///
/// # Errors
/// A sentence: the text is no TOML, or has no question with that id.
pub fn answer_in(text: &str, id: &str, answer: &str) -> Result<String, String> {
    let mut doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    let questions = doc.get_mut("question").and_then(Item::as_array_of_tables_mut);
    let found = questions
        .and_then(|all| all.iter_mut().find(|q| q.get("id").and_then(Item::as_str) == Some(id)))
        .ok_or_else(|| format!("the data map has no question `{id}`"))?;
    match found.get_mut("answer").and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = Value::from(answer);
            *old.decor_mut() = decor;
        }
        None => {
            found.insert("answer", value(answer));
        }
    }
    Ok(doc.to_string())
}

fn inline(rule: &TableRule) -> InlineTable {
    let mut line = InlineTable::new();
    let mut put = |key: &str, text: &str| line.insert(key, Value::from(text));
    match &rule.kind {
        Kind::Undecided => {}
        Kind::Direct { subject } => {
            put("kind", "direct");
            put("subject", subject);
        }
        Kind::Derived { parent, via } => {
            put("kind", "derived");
            put("parent", &parent.to_string());
            line.insert("via", list(via).unwrap_or_else(|| Value::Array(Array::new())));
        }
        Kind::Reference { personal } => {
            put("kind", "reference");
            if let Some(personal) = personal {
                put("personal", personal.word());
            }
        }
        Kind::Excluded { reason } => {
            put("kind", "excluded");
            put("reason", reason);
        }
    }
    if !matches!(rule.kind, Kind::Excluded { .. }) {
        line.insert("category", Value::from(&rule.category));
    }
    if rule.ownerless_refused {
        line.insert("ownerless", Value::from("refuse"));
    }
    for (key, said) in [("other", other(&rule.other)), ("safe_triggers", list(&rule.safe_triggers))] {
        if let Some(said) = said {
            line.insert(key, said);
        }
    }
    line
}

fn other(answers: &std::collections::BTreeMap<String, Other>) -> Option<Value> {
    let line: InlineTable = answers.iter().map(|(c, o)| (c.as_str(), Value::from(o.word()))).collect();
    (!line.is_empty()).then_some(Value::InlineTable(line))
}

fn list(items: &[String]) -> Option<Value> {
    (!items.is_empty()).then(|| Value::Array(items.iter().collect()))
}

/// The engine's name in sentences.
pub(crate) fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "PostgreSQL",
        Engine::Sqlite => "SQLite",
    }
}
