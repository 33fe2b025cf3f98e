//! The map and the database name the same tables, and each can be moved as it is.

use super::{Role, Scene};
use crate::catalogue::{Engine, Table, TableKind, TableName};
use crate::map::{Ask, Kind};
use crate::relations::{affinity, identifies, partitions, whole};

impl<'a> Scene<'a> {
    pub(super) fn presence(&mut self) {
        for name in self.map.tables.keys() {
            self.listed(name);
        }
        self.unlisted();
        for role in [Role::Mapped, Role::Shared] {
            for table in self.having(role) {
                self.movable(table);
                if role == Role::Mapped {
                    self.leaves_follow(table);
                    self.triggers(table);
                }
            }
        }
    }

    fn listed(&mut self, name: &TableName) {
        if self.is_root(name) {
            let what = format!("{name} is the root and stands under [tables] as well");
            let fix = format!("remove \"{name}\" from [tables]");
            return self.report("map-root-twice", name, what, "one of the two would be ignored", fix);
        }
        let Some(table) = self.catalogue.table(name) else {
            let what = format!("the data map names {name}, which the database does not have");
            let fix = format!("remove \"{name}\" from [tables], or restore the table");
            return self.report(
                "map-table-gone",
                name,
                what,
                "its rows were to be moved or accounted for",
                fix,
            );
        };
        if table.partition_of.is_some() {
            let above = whole(self.catalogue, name);
            let what = format!("{name} is a partition of {above}");
            let fix = format!("remove \"{name}\" from [tables]; \"{above}\" speaks for all its partitions");
            return self.report("map-partition-listed", name, what, "partitions follow their table", fix);
        }
        let undecided = self.rule(name).is_some_and(|rule| rule.kind == Kind::Undecided);
        let asked =
            [Ask::Owner(name.clone()), Ask::Reach(name.clone())].iter().any(|a| self.open.contains(a));
        if undecided && !asked {
            let what = format!("the data map does not say what {name} is");
            let fix = format!(
                "at \"{name}\" write kind = \"direct\" with subject, \"derived\" with parent and via, \
                 \"reference\", or \"excluded\" with reason"
            );
            self.report("map-kind-missing", name, what, "nothing is guessed", fix);
        }
    }

    fn unlisted(&mut self) {
        let new: Vec<&TableName> = self
            .catalogue
            .tables
            .iter()
            .filter(|t| t.partition_of.is_none() && !self.is_root(&t.name) && self.rule(&t.name).is_none())
            .map(|t| &t.name)
            .collect();
        for name in new {
            let what = format!("the database has {name}, which the data map does not name");
            let fix = format!(
                "under [tables] add \"{name}\" = {{ kind = ... }}, for example {{ kind = \"excluded\", \
                 reason = \"...\" }}; `domicile init` shows what it would propose"
            );
            self.report("map-table-new", name, what, "data nobody has placed would stay behind unseen", fix);
        }
    }

    /// The root, if it can be one; without it nothing else can be said.
    pub(super) fn root(&mut self) -> Option<&'a Table> {
        let subject = self.subject();
        let Some(root) = self.catalogue.table(&subject.table) else {
            let what = format!("the root {} is not in the database", subject.table);
            let fix = "run `domicile init --root SCHEMA.TABLE` with the table whose rows are the subjects";
            self.report(
                "map-table-gone",
                &subject.table,
                what,
                "every row finds its subject there",
                fix.into(),
            );
            return None;
        };
        let table = &root.name;
        let Some(key) = root.column(&subject.key) else {
            let what = format!("the root {table} has no column {}", subject.key);
            let fix = format!("under [subject] write key = one of: {}", root.primary_key.join(", "));
            self.report("map-column-gone", table, what, "it is the subject's key", fix);
            return None;
        };
        if !identifies(root, &key.name) {
            let composite = root.primary_key.len() > 1 && root.primary_key.contains(&key.name);
            let (code, what) = if composite {
                let all = root.primary_key.join(", ");
                (
                    "map-subject-key-composite",
                    format!("the key of {table} is composite ({all}); a subject's key is one column"),
                )
            } else {
                ("map-subject-key-not-unique", format!("{} of {table} is not unique", key.name))
            };
            let why = "one value must name one subject, in the directory and in every table";
            let fix = format!(
                "choose a unique NOT NULL column of {table} as `key`, or add one, e.g. a UUID with a \
                 unique constraint"
            );
            self.report(code, table, what, why, fix);
        }
        if !key.not_null {
            let what = format!("the subject's key {} of {table} may be NULL", key.name);
            let fix = format!("declare {} NOT NULL", key.name);
            self.report("map-subject-key-nullable", table, what, "a row without a key has no subject", fix);
        }
        if let Some(why) = unfit_key(self.catalogue.engine, &key.type_name) {
            let what = format!("{} of {table} has type `{}`", key.name, key.type_name);
            let fix = "use a key of integer, uuid or text type".to_owned();
            self.report("map-subject-key-type", table, what, why, fix);
        }
        Some(root)
    }

    fn movable(&mut self, table: &Table) {
        let name = &table.name;
        for part in std::iter::once(table).chain(partitions(self.catalogue, name)) {
            let (what, fix) = match part.kind {
                TableKind::Ordinary | TableKind::Partitioned => continue,
                TableKind::Unlogged => ("unlogged", "ALTER TABLE ... SET LOGGED, or exclude the table"),
                TableKind::Foreign => {
                    ("a foreign table", "exclude it, or move its rows into a table of this database")
                }
                TableKind::Virtual => ("a virtual table", "exclude it; rebuild it at the new home"),
            };
            if !self.open.contains(&Ask::Storage(name.clone())) {
                let what = format!("{} is {what}", part.name);
                let why = "its rows can't be moved with a promise that nothing is lost";
                self.report("map-table-kind", name, what, why, fix.to_owned());
            }
        }
        if table.primary_key.is_empty() && !self.open.contains(&Ask::Key(name.clone())) {
            let fix = match table
                .uniques
                .iter()
                .find(|u| !u.partial && !crate::relations::nullable(table, &u.columns))
            {
                Some(u) => format!(
                    "its unique columns would do: ALTER TABLE {name} ADD PRIMARY KEY ({})",
                    u.columns.join(", ")
                ),
                None => format!("add a primary key to {name}, or exclude the table"),
            };
            let why = "a row without a key can't be copied again, compared or erased by name";
            self.report("map-no-primary-key", name, format!("{name} has no primary key"), why, fix);
        }
        for column in &table.primary_key {
            if table.column(column).is_none_or(|c| !c.not_null) {
                let what = format!("the primary key column {column} of {name} may be NULL");
                let fix = format!("declare {column} NOT NULL (SQLite allows NULL in a primary key)");
                self.report("map-key-nullable", name, what, "a row with NULL in its key has no name", fix);
            }
        }
    }

    /// A partition with foreign keys of its own would be ordered and fenced wrongly.
    fn leaves_follow(&mut self, table: &Table) {
        for part in partitions(self.catalogue, &table.name) {
            let own = part.foreign_keys.iter().find(|key| {
                let to = whole(self.catalogue, &key.references);
                !table
                    .foreign_keys
                    .iter()
                    .any(|k| k.columns == key.columns && whole(self.catalogue, &k.references) == to)
            });
            if let Some(key) = own {
                let what = format!("the partition {} has a foreign key of its own, {}", part.name, key.name);
                let fix = format!("declare it on {}, or drop it", table.name);
                self.report(
                    "map-partition-foreign-key",
                    &table.name,
                    what,
                    "partitions follow their table",
                    fix,
                );
            }
        }
    }

    fn triggers(&mut self, table: &Table) {
        let name = &table.name;
        for part in std::iter::once(table).chain(partitions(self.catalogue, name)) {
            for trigger in &part.triggers {
                let asked = self.open.contains(&Ask::Trigger(name.clone(), trigger.clone()));
                if !asked && !self.safe_triggers(name).contains(trigger) {
                    let what = format!("the trigger {trigger} of {} is not listed as safe", part.name);
                    let why = "it would fire while rows are loaded at the new home";
                    let fix = format!(
                        "{} write safe_triggers = [\"{trigger}\"], or drop the trigger at every region",
                        self.place(name)
                    );
                    self.report("map-trigger-not-safe", name, what, why, fix);
                }
            }
        }
    }
}

/// Why values of the type can't name a subject: equal values must have one text.
fn unfit_key(engine: Engine, type_name: &str) -> Option<&'static str> {
    const TEXTS: &str =
        "equal values of this type can be written differently, so one subject would have two names";
    if engine == Engine::Sqlite {
        return match affinity(type_name) {
            "INTEGER" | "TEXT" => None,
            _ => Some("SQLite stores such a column with changing types; a key needs INTEGER or TEXT"),
        };
    }
    let bare = type_name.split('(').next().unwrap_or_default().trim().to_lowercase();
    let many =
        ["numeric", "real", "double precision", "json", "jsonb", "xml", "money", "character", "interval"];
    let no_case = bare.rsplit('.').next() == Some("citext");
    (many.contains(&bare.as_str()) || no_case || bare.ends_with("[]")).then_some(TEXTS)
}
