//! The trigger functions: one for each mapped table, with nothing dynamic in it.
//!
//! The fast path stands first in every branch: one locking query, and the write of a subject that is
//! `home` has passed. All are AFTER ROW functions, since values are final only then (attack A6).
//! Recorded are the row's key and whether its whole subtree may have changed; the subtree itself is
//! expanded by the mover in its own snapshot, as the application's may not see it (finding D1).

use super::path::{Hold, Path, hold, may_be_orphaned};
use super::{admission, function_name, plpgsql, qualified, subject_column, table_literal, type_of};
use crate::postgres::paths;
use crate::postgres::quote::{self, column, ident};
use domicile_datamap::layout::{Layout, MappedTable, Owner};

/// What is needed to write the functions of one table.
struct Writer<'a> {
    layout: &'a Layout,
    table: &'a MappedTable,
    path: Path<'a>,
    hold: Hold,
    /// The table's name as a literal.
    name: String,
    subject: &'a str,
}

/// The row trigger's function and, where a row may come before its parent, the one at commit.
pub(super) fn functions(layout: &Layout, table: &MappedTable) -> Vec<String> {
    let ix = layout.index_of(&table.name).expect("a table of this layout");
    let w = Writer {
        layout,
        table,
        path: Path::of(layout, table),
        hold: hold(layout, ix),
        name: table_literal(&table.name),
        subject: subject_column(layout).1,
    };
    let mut all = vec![plpgsql(
        &format!("{}()", row_function(table)),
        "trigger",
        true,
        &w.settings(),
        &format!(
            "declare s \"char\"; o {0}; n {0}; x {0}; again_o {0}; again_n {0};\nbegin\n\
             if tg_op = 'INSERT' then\n{1}elsif tg_op = 'UPDATE' then\n{2}else\n{3}end if;\nreturn null;\nend",
            w.subject,
            w.insert(),
            w.update(),
            w.delete()
        ),
    )];
    if w.path.deferrable {
        all.push(w.at_commit());
    }
    all
}

/// The row trigger's function of a table.
pub(super) fn row_function(table: &MappedTable) -> String {
    function_name("row", &table.name)
}

/// The function at commit of a table with a deferrable way to its subject.
pub(super) fn commit_function(table: &MappedTable) -> String {
    function_name("commit", &table.name)
}

impl Writer<'_> {
    /// Keys are compared as the text of JSON, which for these types depends on the session. What a type made by
    /// a user, an array or a range holds is not known here: then all are set.
    fn settings(&self) -> String {
        let types: Vec<&str> = self.table.key.iter().map(|k| type_of(self.table, k)).collect();
        let unknown = types.iter().any(|ty| !quote::is_scalar(ty));
        let mut all = Vec::new();
        for (needle, set) in [
            ("with time zone", "set timezone = 'UTC'"),
            ("interval", "set intervalstyle = 'postgres'"),
            ("bytea", "set bytea_output = 'hex'"),
            ("double precision", "set extra_float_digits = 3"),
            ("real", "set extra_float_digits = 3"),
            ("money", "set lc_monetary = 'C'"),
            ("range", "set datestyle = 'ISO, YMD'"),
        ] {
            if (unknown || types.iter().any(|ty| ty.contains(needle))) && !all.contains(&set) {
                all.push(set);
            }
        }
        all.join(" ")
    }

    fn key(&self, row: &str) -> String {
        format!("jsonb_build_array({})", paths::key_elements(self.table, row).join(", "))
    }

    /// Records a key for a subject.
    fn note(&self, subject: &str, row: &str, sub: bool) -> String {
        format!(
            "insert into domicile.changed (subject, tbl, key, sub) values ({subject}, {}, {}, {sub});",
            self.name,
            self.key(row)
        )
    }

    /// Sets `s`, and `o` where the subject is reached over parents, from a row that may simply pass.
    ///
    /// Over parents: path, lock and "the path did not move" in one statement. `home` is joined twice;
    /// if an owner change bumped `gen` meanwhile, the row locked now (`h`) no longer equals the one
    /// read before (`a`), nothing is found, and the loop in `via_...` decides.
    fn fast(&self, row: &str) -> String {
        let own = self.path.values(row);
        if !self.path.derived() {
            return format!(
                "select h.state into s from domicile.home h where h.subject = {} and h.state in ('h','m') for key share;",
                own[0]
            );
        }
        let (from, bound) = self.path.from(&own);
        format!(
            "select h.state, h.subject into s, o from {from} join domicile.home a on a.subject = {} \
             join domicile.home h on h.subject = a.subject and h.gen = a.gen \
             where {bound} and a.state in ('h','m') and h.state in ('h','m') for key share of h;",
            self.path.subject()
        )
    }

    /// The same where the row's going or coming changes its children's owner: bumps `gen`.
    fn fast_alone(&self, row: &str) -> String {
        let own = self.path.values(row);
        if self.path.derived() {
            return "s := null;".to_owned();
        }
        format!(
            "update domicile.home h set gen = h.gen + 1 where h.subject = {} and h.state in ('h','m') returning h.state into s;",
            own[0]
        )
    }

    /// After a fast path that found nothing: the slow one; `unresolved` is what happens to a row
    /// whose subject can't be found.
    fn slow(&self, row: &str, alone: bool, unresolved: &str) -> String {
        let own = self.path.values(row);
        if self.path.derived() {
            return format!(
                "if s is null then\nselect v.domicile_o, v.domicile_s into o, s from {}({}, {alone}) v;\n\
                 if o is null then\n{unresolved}\nreturn null; end if;\nend if;",
                function_name("via", &self.table.name),
                own.join(", ")
            );
        }
        let enter = if alone { "enter_alone" } else { "enter" };
        format!(
            "if s is null then\nif {} is null then\n{unresolved}\nreturn null; end if;\n\
             s := domicile.{enter}({}::{}, {});\nend if;",
            own[0], own[0], self.subject, self.name
        )
    }

    /// A new row whose subject isn't found. NULL columns: it would belong to nobody. A deferrable key
    /// on the way: commit decides. Else the parent is missing, or is itself nobody's.
    fn unowned(&self, row: &str) -> String {
        let own = self.path.values(row);
        let nobody = format!("perform domicile.ownerless({});", self.name);
        if !self.path.derived() {
            return nobody;
        }
        let null: Vec<_> = own.iter().map(|c| format!("{c} is null")).collect();
        let null = null.join(" or ");
        if self.path.deferrable {
            return format!("if {null} then {nobody} end if;");
        }
        format!(
            "if {null} or {} then {nobody} else perform domicile.unresolved({}); end if;",
            self.path.parent_exists(&own),
            self.name
        )
    }

    /// The same for a row that stays where it is: nobody's before and after is not a new hole.
    fn unowned_still(&self, row: &str) -> String {
        let own = self.path.values(row);
        if !self.path.derived() || self.path.deferrable {
            return String::new();
        }
        format!(
            "if not {} then perform domicile.unresolved({}); end if;",
            self.path.parent_exists(&own),
            self.name
        )
    }

    /// The subject of a row for `note`.
    fn who(&self, row: &str) -> String {
        if self.path.derived() { "o".to_owned() } else { self.path.values(row)[0].clone() }
    }

    fn insert(&self) -> String {
        let admit = admission::at_insert(self.layout, self.table);
        format!(
            "{admit}{}\nif s = 'h' then return null; end if;\n{}\nif s = 'm' then {} end if;\n",
            self.fast("new"),
            self.slow("new", false, &self.unowned("new")),
            // A row that takes the place of one deleted under NO ACTION finds that row's children.
            self.note(&self.who("new"), "new", self.hold.free_delete)
        )
    }

    /// An old row whose subject isn't found passes: its parent was deleted, or the row re-pointed, by
    /// this same transaction, and that was recorded with its subtree.
    fn delete(&self) -> String {
        let alone = self.hold.free_delete;
        let fast = if alone { self.fast_alone("old") } else { self.fast("old") };
        format!(
            "{fast}\nif s = 'h' then return null; end if;\n{}\nif s = 'm' then {} end if;\n",
            self.slow("old", alone, ""),
            self.note(&self.who("old"), "old", self.hold.children)
        )
    }

    fn update(&self) -> String {
        let (old, new) = (self.path.values("old"), self.path.values("new"));
        let mut same: Vec<_> = old.iter().zip(&new).map(|(a, b)| format!("{a} = {b}")).collect();
        let keys: Vec<_> = self
            .table
            .key
            .iter()
            .chain(&self.hold.referenced)
            .map(|k| format!("{} is distinct from {}", column("old", k), column("new", k)))
            .collect();
        let rekeyed = keys.join(" or ");
        if self.hold.free_update {
            same.push(format!("not ({rekeyed})"));
        }
        let country = admission::at_update(self.layout, self.table);
        format!(
            "{country}if {} then\n{}\nif s = 'h' then return null; end if;\n{}\nif s = 'm' then\n\
             if {rekeyed} then {} {}\nelse {} end if;\nend if;\nelse\n{}end if;\n",
            same.join(" and "),
            self.fast("new"),
            self.slow("new", false, &self.unowned_still("new")),
            self.note(&self.who("new"), "old", true),
            self.note(&self.who("new"), "new", true),
            self.note(&self.who("new"), "new", false),
            self.other_owner()
        )
    }

    /// An update that changes the row's owner, or the key by which children find it. Both owners are
    /// locked in the order of their keys. The old one's `gen` is bumped where the table has children:
    /// their writers in flight have locked the old owner, and have to end before the path changes.
    fn other_owner(&self) -> String {
        let root = matches!(self.table.owner, Owner::Root { .. });
        let mut text = format!("{}\n{}\n", self.find("old", "o"), self.find("new", "n"));
        if root {
            text.push_str(&admission::rekeyed_root(self.table, &self.name));
        }
        let (old, new) = (self.path.values("old"), self.path.values("new"));
        let unlinked =
            |row: &[String]| row.iter().map(|c| format!("{c} is null")).collect::<Vec<_>>().join(" or ");
        if !root {
            text.push_str("if n is null then\n");
            // Nobody's before and after: not a new hole.
            text.push_str(&format!(
                "if ({}) and ({}) then return null; end if;\n",
                unlinked(&old),
                unlinked(&new)
            ));
            if may_be_orphaned(self.table, &self.path.own) {
                // ON DELETE SET NULL is the application's own way to make a row nobody's.
                text.push_str(&format!(
                    "if not ({}) then\n{}\nend if;\n",
                    unlinked(&new),
                    self.unowned("new")
                ));
            } else {
                text.push_str(&format!("{}\n", self.unowned("new")));
            }
            text.push_str("end if;\n");
        }
        let alone = match (self.hold.children, self.hold.free_update) {
            (true, true) => "x is not distinct from o",
            (true, false) => "x is not distinct from o and o is distinct from n",
            (false, _) => "false",
        };
        text.push_str(&format!(
            "loop\nfor x in select distinct y from unnest(array[o, n]) y where y is not null order by y loop\n\
             if {alone} then s := domicile.enter_alone(x, {name}); else s := domicile.enter(x, {name}); end if;\n\
             if s = 'm' then {} {} end if;\nend loop;\n",
            self.note("x", "old", true),
            self.note("x", "new", true),
            name = self.name
        ));
        if self.path.derived() {
            text.push_str(&format!(
                "{}\n{}\nexit when again_o is not distinct from o and again_n is not distinct from n;\n\
                 o := again_o; n := again_n;\n",
                self.find("old", "again_o"),
                self.find("new", "again_n")
            ));
        } else {
            text.push_str("exit;\n");
        }
        text.push_str("end loop;\n");
        text
    }

    /// The subject of `row` by a plain read.
    fn find(&self, row: &str, into: &str) -> String {
        let own = self.path.values(row);
        if !self.path.derived() {
            return format!("{into} := {};", own[0]);
        }
        let (from, bound) = self.path.from(&own);
        format!("select {} into {into} from {from} where {bound};", self.path.subject())
    }

    /// At commit (or at SET CONSTRAINTS IMMEDIATE, where "not yet" has to mean "no"): the row as it is
    /// now must lead to a subject that may be written. Gone meanwhile: nothing to check.
    fn at_commit(&self) -> String {
        let values: Vec<_> =
            self.table.key.iter().map(|k| format!("{} = {}", column("t", k), column("new", k))).collect();
        let own: Vec<_> = (0..self.path.own.len()).map(|n| format!("domicile_own_{n}")).collect();
        let declare: Vec<_> = self
            .path
            .own
            .iter()
            .zip(&own)
            .map(|(c, v)| format!("{v} {}.{}%type;", qualified(&self.table.name), ident(c)))
            .collect();
        let null: Vec<_> = own.iter().map(|c| format!("{c} is null")).collect();
        plpgsql(
            &format!("{}()", commit_function(self.table)),
            "trigger",
            true,
            &self.settings(),
            &format!(
                "declare s \"char\"; o {}; {}\nbegin\nselect {} into {} from {} t where {};\n\
                 if not found then return null; end if;\n\
                 if {} then return null; end if;\n\
                 select v.domicile_o, v.domicile_s into o, s from {}({}, false) v;\n\
                 if o is null then\nif {} then perform domicile.ownerless({name}); else perform domicile.unresolved({name}); end if;\n\
                 elsif s = 'm' then {} end if;\nreturn null;\nend",
                self.subject,
                declare.join(" "),
                self.path.values("t").join(", "),
                own.join(", "),
                qualified(&self.table.name),
                values.join(" and "),
                null.join(" or "),
                function_name("via", &self.table.name),
                own.join(", "),
                self.path.parent_exists(&own),
                self.note("o", "new", true),
                name = self.name
            ),
        )
    }
}
