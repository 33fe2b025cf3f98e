//! The guard's tables, and the rows in them that come from the settings.

use super::{GATE_SLOTS, OBSERVED_ROWS_MAX, VERSION, run_once, subject_column};
use crate::postgres::quote::literal;
use crate::records::{Admission, GuardSpec};
use domicile_datamap::layout::Layout;

/// Creates what is absent. Nothing here ever drops or empties a table: `home` is the only word on
/// where a subject lives.
pub(super) fn create(layout: &Layout) -> Vec<String> {
    let (_, subject) = subject_column(layout);
    let mut all = vec!["create schema if not exists domicile".to_owned()];
    for (name, columns, options) in [
        (
            "region",
            "one bool primary key default true check (one), region text not null, service text not null, \
             mode text not null check (mode in ('observe', 'enforce', 'wave')), armed bool not null, \
             waves integer not null default 0, gen bigint not null default 0, version integer not null, \
             identity text not null, map_hash text not null, owner_role text not null",
            "",
        ),
        (
            "home",
            &format!(
                "subject {subject} primary key, state \"char\" not null check (state in ('h','k','m','g','f','s','a','w')), \
                 epoch bigint not null, gen bigint not null default 0, batch text, deadline timestamptz"
            ),
            // Half empty pages keep a state's change on its page.
            "with (fillfactor = 50)",
        ),
        (
            "changed",
            &format!(
                "id bigint generated always as identity primary key, subject {subject} not null, tbl text not null, \
                 key jsonb not null, sub bool not null"
            ),
            "",
        ),
        ("admission", "country text primary key, allowed bool not null, rule text not null", ""),
        (
            "misplaced",
            &format!(
                "subject {subject} primary key, rule text not null, at timestamptz not null default clock_timestamp()"
            ),
            "",
        ),
        (
            "observed",
            "tbl text not null, reason text not null, at timestamptz not null default clock_timestamp()",
            "",
        ),
        ("gate", "round bigint, slot integer, open bool not null, primary key (round, slot)", ""),
        ("list", &format!("list text, subject {subject}, primary key (list, subject)"), ""),
        (
            "batch",
            "batch text primary key, wave text not null, number bigint not null, record jsonb not null",
            "",
        ),
        ("member", &format!("batch text, subject {subject}, primary key (batch, subject)"), ""),
        (
            "lease",
            "batch text primary key, token bigint not null, timeline text not null, gen bigint not null default 0, \
             taken timestamptz not null default clock_timestamp()",
            "",
        ),
    ] {
        all.push(format!("create table if not exists domicile.{name} ({columns}) {options}"));
    }
    all.extend(indexes());
    all.push("create sequence if not exists domicile.observed_n".to_owned());
    all.push(format!(
        "insert into domicile.gate (round, slot, open) select 1, n, true from generate_series(0, {}) n \
         where not exists (select from domicile.gate)",
        GATE_SLOTS - 1
    ));
    all
}

/// `gen` stands in unique indexes so that `gen = gen + 1` is a key update: exactly that waits for the
/// KEY SHARE locks of writers in flight, and fails those with an older snapshot (finding 1).
fn indexes() -> Vec<String> {
    [
        "unique index if not exists region_gen on domicile.region (one, gen)",
        "unique index if not exists home_gen on domicile.home (subject, gen)",
        "unique index if not exists lease_gen on domicile.lease (batch, gen)",
        "index if not exists changed_subject on domicile.changed (subject, id)",
        "index if not exists batch_wave on domicile.batch (wave, number)",
        "index if not exists member_subject on domicile.member (subject)",
    ]
    .iter()
    .map(|what| format!("create {what}"))
    .collect()
}

/// The region's one row. A new guard only observes; an old one keeps its mode.
pub(super) fn region_row(layout: &Layout, spec: &GuardSpec, identity: &str) -> String {
    format!(
        "insert into domicile.region (region, service, mode, armed, version, identity, map_hash, owner_role) \
         values ({}, {}, 'observe', true, {VERSION}, {}, {}, session_user) \
         on conflict (one) do update set region = excluded.region, service = excluded.service, \
         version = excluded.version, identity = excluded.identity, map_hash = excluded.map_hash, \
         owner_role = excluded.owner_role",
        literal(&spec.region),
        literal(&spec.service),
        literal(identity),
        literal(&layout.hash)
    )
}

/// Policy's word on each country, replaced as a whole.
pub(super) fn admission_rows(admission: &[Admission]) -> Vec<String> {
    let mut all = vec!["delete from domicile.admission".to_owned()];
    for some in admission.chunks(500) {
        let rows: Vec<_> = some
            .iter()
            .map(|a| format!("({}, {}, {})", literal(&a.country), a.allowed, literal(&a.rule)))
            .collect();
        // Upper-cased here, by the same function that the triggers ask with. Where two spellings fall
        // together, the stricter word counts.
        all.push(format!(
            "insert into domicile.admission (country, allowed, rule) \
             select distinct on (upper(btrim(v.c))) upper(btrim(v.c)), v.a, v.r \
             from (values {}) v(c, a, r) order by upper(btrim(v.c)), v.a \
             on conflict (country) do update set allowed = excluded.allowed and admission.allowed, \
             rule = case when excluded.allowed then admission.rule else excluded.rule end",
            rows.join(", ")
        ));
    }
    all
}

/// The application may ask and sign up; it can neither read nor write the guard's tables.
pub(super) fn grants() -> String {
    let functions = run_once(
        "declare f pg_catalog.regprocedure; begin \
         for f in select p.oid::pg_catalog.regprocedure from pg_catalog.pg_proc p \
           where p.pronamespace = 'domicile'::pg_catalog.regnamespace loop \
           execute pg_catalog.format('revoke all on function %s from public', f); \
           if (select p.proname in ('sign_up', 'is_home') from pg_catalog.pg_proc p where p.oid = f) then \
             execute pg_catalog.format('grant execute on function %s to public', f); \
           end if; \
         end loop; end",
    );
    format!(
        "{functions}; revoke all on all tables in schema domicile from public; grant usage on schema domicile to public"
    )
}

/// Counts one would-be refusal: rows up to a limit, then only a sequence.
pub(super) fn tally(tbl: &str, reason: &str) -> String {
    format!(
        "if nextval('domicile.observed_n') <= {OBSERVED_ROWS_MAX} then \
         insert into domicile.observed (tbl, reason) values ({tbl}, {reason}); end if;"
    )
}
