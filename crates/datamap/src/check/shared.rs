//! Reference tables: what is copied of them, and in which order.

use super::{Role, Scene};
use crate::catalogue::Table;
use crate::init::personal_signs;
use crate::layout::Personal;
use crate::map::{Ask, Kind, PersonalAnswer};
use crate::order::{Edge, order};
use crate::relations::{Reference, label, nullable, references};

/// One reference table.
pub(super) struct Shared<'a> {
    pub(super) table: &'a Table,
    pub(super) personal: Personal,
}

impl<'a> Scene<'a> {
    pub(super) fn references(&mut self) -> Vec<Shared<'a>> {
        let mut all = Vec::new();
        for table in self.having(Role::Shared) {
            let said = match self.rule(&table.name).map(|rule| &rule.kind) {
                Some(Kind::Reference { personal }) => *personal,
                _ => None,
            };
            let shared = Shared {
                table,
                personal: if said == Some(PersonalAnswer::Stub) { Personal::Stub } else { Personal::Copy },
            };
            if said.is_none() {
                self.undecided_personal(table);
            }
            for reference in references(self.catalogue, table).filter(|r| shared.holds(*r)) {
                self.shared_side(table, reference);
            }
            all.push(shared);
        }
        all
    }

    fn undecided_personal(&mut self, table: &Table) {
        let (name, columns) = (&table.name, personal_signs(table));
        if columns.is_empty() || self.open.contains(&Ask::Personal(name.clone())) {
            return;
        }
        let what = format!("{name} is a reference, but may be personal: {}", columns.join(", "));
        let fix = format!(
            "at \"{name}\" write personal = \"copy\" (all columns), \"stub\" (the key and fillers), or \
             \"exclude\""
        );
        self.report("map-personal-undecided", name, what, "it would be copied to every region", fix);
    }

    fn shared_side(&mut self, table: &Table, reference: Reference<'_>) {
        let column = label(table, reference.key);
        let name = &table.name;
        match self.role(reference.to) {
            Role::Mapped => {
                let what = format!("the reference table {name} refers to {} by {column}", reference.to);
                let why = "its rows belong to subjects then, and can't be copied to every region";
                let fix = format!("make \"{name}\" direct or derived, or exclude it");
                self.report("map-reference-refers", name, what, why, fix);
            }
            Role::Unmoved => {
                let what = format!("{column} of {name} refers to {}, which is excluded", reference.to);
                let why = "the row it refers to would be missing at the other regions";
                let fix = format!(
                    "make {} a reference too (personal = \"stub\" copies its keys only), or exclude \"{name}\"",
                    reference.to
                );
                self.report("map-refers-to-excluded", name, what, why, fix);
            }
            Role::Unknown if self.catalogue.table(reference.to).is_none() => {
                let what =
                    format!("{column} of {name} refers to {}, which is not visible here", reference.to);
                let fix = format!("grant the role SELECT on {}, or drop the foreign key", reference.to);
                self.report("map-foreign-key-outside", name, what, "the order of copying depends on it", fix);
            }
            Role::Shared | Role::Unknown => {}
        }
    }

    /// First copied first.
    pub(super) fn shared_sequence(&mut self, all: Vec<Shared<'a>>) -> Vec<Shared<'a>> {
        let place = |reference: Reference<'_>| all.iter().position(|s| s.table.name == *reference.to);
        let (edges, found): (Vec<Edge>, Vec<(&Shared<'a>, Reference<'a>)>) = all
            .iter()
            .enumerate()
            .flat_map(|(from, s)| references(self.catalogue, s.table).map(move |r| (from, s, r)))
            .filter(|(_, s, r)| s.holds(*r))
            .filter_map(|(from, s, r)| {
                let deferrable = self.deferrable(r.key);
                let edge = Edge { from, to: place(r)?, owner: false, nullable: false, deferrable };
                Some((edge, (s, r)))
            })
            .unzip();
        let ordered = order(all.len(), None, &edges);
        for opened in ordered.opened {
            let (shared, reference) = found[opened];
            let name = &shared.table.name;
            if !edges[opened].deferrable && edges[opened].from != edges[opened].to {
                let what = format!(
                    "the foreign key {} of the reference table {name} closes a cycle",
                    reference.key.name
                );
                let fix = format!("make it DEFERRABLE at every region, or exclude \"{name}\"");
                self.report("map-cycle", name, what, "no order of copying satisfies it", fix);
            }
        }
        let mut all: Vec<Option<Shared<'a>>> = all.into_iter().map(Some).collect();
        ordered.order.into_iter().filter_map(|i| all[i].take()).collect()
    }
}

impl Shared<'_> {
    /// The foreign key's value is copied: a stub has NULL where it can.
    fn holds(&self, reference: Reference<'_>) -> bool {
        self.personal == Personal::Copy || !nullable(self.table, &reference.key.columns)
    }
}
