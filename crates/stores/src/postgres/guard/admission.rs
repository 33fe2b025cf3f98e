//! Who may come to live here: sign-up, and policy's word on a subject's country.

use super::{
    COUNTRY_TRIGGER, function_name, plpgsql, qualified, subject_column, table_literal, tables::tally,
};
use crate::postgres::quote::{column, ident, literal};
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::{AttributePath, Layout, MappedTable, Owner};

/// `sign_up`, `is_home`, `admit`, `country_changed` and the functions of tables on the country's path.
pub(super) fn functions(layout: &Layout) -> Vec<String> {
    let (_, subject) = subject_column(layout);
    let mut all = vec![sign_up(subject), is_home(subject), admit(), country_changed(subject)];
    if !layout.country.hops.is_empty() {
        all.push(at_commit(layout));
        for (n, table) in watched(layout) {
            all.push(moved_on_the_way(layout, n, table));
        }
    }
    all
}

/// The application claims the subject in the directory first (none -> home, epoch 1), then calls
/// this, then writes the root's row. Safe to repeat with the same epoch.
fn sign_up(subject: &str) -> String {
    plpgsql(
        &format!("domicile.sign_up(subject {subject}, epoch bigint)"),
        "void",
        true,
        "",
        r#"
declare s "char"; e bigint;
begin
  if subject is null or epoch is null or epoch < 1 then
    raise exception using errcode = '22023', message = 'domicile.sign_up needs a subject and the epoch that the directory gave';
  end if;
  insert into domicile.home as h (subject, state, epoch) values (sign_up.subject, 'h', sign_up.epoch) on conflict do nothing;
  if found then return; end if;
  select h.state, h.epoch into s, e from domicile.home h where h.subject = sign_up.subject;
  if s = 'h' and e = epoch then return; end if;
  perform domicile.refuse('domicile.home', s, e);
end"#,
    )
}

/// For jobs and reports: does this subject live here (it may be under a fence), or is what stands
/// here a copy on its way in or a rest on its way out?
fn is_home(subject: &str) -> String {
    plpgsql(
        &format!("domicile.is_home(subject {subject})"),
        "boolean",
        true,
        "stable",
        r#"
declare s "char";
begin
  select h.state into s from domicile.home h where h.subject = is_home.subject;
  if found then return s not in ('a', 'w'); end if;
  return (select r.mode <> 'enforce' from domicile.region r);
end"#,
    )
}

/// A root row comes: is its country permitted here? Unknown and absent countries are not.
fn admit() -> String {
    let tally = tally("tbl", "'country not permitted'");
    plpgsql(
        "domicile.admit(tbl text, country text)",
        "void",
        false,
        "",
        &format!(
            r#"
declare ok bool; why text; m text; here text;
begin
  select a.allowed, a.rule into ok, why from domicile.admission a where a.country = upper(btrim(admit.country));
  if ok then return; end if;
  select r.mode, r.region into m, here from domicile.region r;
  if m = 'wave' then return; end if;
  if m = 'observe' then {tally} return; end if;
  raise exception using errcode = 'RS002',
    message = format('policy forbids a row of %s in region %s: %s', tbl, here, coalesce(why,
      case when country is null then 'its subject has no country' else 'no rule permits the country of its subject' end)),
    hint = 'Ask the directory for the region where this subject may live, and sign it up there.';
end"#
        ),
    )
}

/// A subject's country changed: where it is not permitted here, the subject is listed for the next
/// plan. Not refused: people do move, and what is written down about them should be true.
fn country_changed(subject: &str) -> String {
    plpgsql(
        &format!("domicile.country_changed(who {subject}, country text)"),
        "void",
        false,
        "",
        r#"
declare ok bool; why text;
begin
  select a.allowed, a.rule into ok, why from domicile.admission a where a.country = upper(btrim(country_changed.country));
  if ok then
    delete from domicile.misplaced m where m.subject = who;
  else
    insert into domicile.misplaced as m (subject, rule) values (who, coalesce(why, 'no rule permits the country'))
      on conflict (subject) do update set rule = excluded.rule, at = clock_timestamp();
  end if;
end"#,
    )
}

/// An [`AttributePath`] as a scalar expression over the root's row `root` (`new`, or an alias).
pub(in crate::postgres) fn value(path: &AttributePath, root: &str) -> String {
    if path.hops.is_empty() {
        return format!("{}::text", column(root, &path.column));
    }
    let mut from = String::new();
    let mut bound = String::new();
    for (i, hop) in path.hops.iter().enumerate() {
        let before = if i == 0 { root.to_owned() } else { format!("c{i}") };
        let alias = format!("c{}", i + 1);
        let on: Vec<_> =
            hop.on.iter().map(|(a, b)| format!("{} = {}", column(&alias, b), column(&before, a))).collect();
        if i == 0 {
            from = format!("{} {alias}", qualified(&hop.table));
            bound = on.join(" and ");
        } else {
            from = format!("{from} join {} {alias} on {}", qualified(&hop.table), on.join(" and "));
        }
    }
    let end = column(&format!("c{}", path.hops.len()), &path.column);
    // A path of foreign keys finds one row; should it find more, the same one each time.
    format!("(select {end}::text from {from} where {bound} order by 1 limit 1)")
}

/// In the root's row function, before anything else of an INSERT.
pub(super) fn at_insert(layout: &Layout, table: &MappedTable) -> String {
    if !matches!(table.owner, Owner::Root { .. }) || !layout.country.hops.is_empty() {
        return String::new();
    }
    format!("perform domicile.admit({}, {});\n", table_literal(&table.name), value(&layout.country, "new"))
}

/// In the root's row function, before anything else of an UPDATE.
pub(super) fn at_update(layout: &Layout, table: &MappedTable) -> String {
    let Owner::Root { column: key } = &table.owner else { return String::new() };
    let watched: Vec<&str> = match layout.country.hops.first() {
        None => vec![&layout.country.column],
        Some(hop) => hop.on.iter().map(|(a, _)| a.as_str()).collect(),
    };
    let changed: Vec<_> = watched
        .iter()
        .map(|c| format!("{} is distinct from {}", column("old", c), column("new", c)))
        .collect();
    format!(
        "if {} then perform domicile.country_changed({}, {}); end if;\n",
        changed.join(" or "),
        column("new", key),
        value(&layout.country, "new")
    )
}

/// In the root's row function where the subject's key itself changed: nothing that is recorded or
/// listed elsewhere (directory, claims, journal) would find the subject again.
pub(super) fn rekeyed_root(table: &MappedTable, name: &str) -> String {
    let tally = tally(name, "'key of a subject changed'");
    let word = literal(&format!("the key of a subject cannot change: {}", table.name));
    format!(
        "if o is distinct from n then\n\
         if (select r.mode from domicile.region r) = 'observe' then {tally}\n\
         else raise exception using errcode = '0A000', message = {word}, \
         hint = 'Insert the subject under its new key and delete the old one.';\n\
         end if;\nend if;\n"
    )
}

/// The root's function at commit where the country stands behind foreign keys: the rows on the way
/// may come after the root's own.
fn at_commit(layout: &Layout) -> String {
    let root = &layout.tables[0];
    let keys: Vec<_> =
        root.key.iter().map(|k| format!("{} = {}", column("t", k), column("new", k))).collect();
    plpgsql(
        &format!("{}()", commit_function(root)),
        "trigger",
        true,
        "",
        &format!(
            "declare c text;\nbegin\nselect {} into c from {} t where {};\n\
             if found then perform domicile.admit({}, c); end if;\nreturn null;\nend",
            value(&layout.country, "t"),
            qualified(&root.name),
            keys.join(" and "),
            table_literal(&root.name)
        ),
    )
}

/// The root's function at commit.
pub(super) fn commit_function(root: &MappedTable) -> String {
    function_name("country", &root.name)
}

/// Mapped tables on the way to the country: (place in the path, table). Reference tables on the way
/// are not watched: the next plan reads every subject's country anew.
pub(super) fn watched(layout: &Layout) -> impl Iterator<Item = (usize, &MappedTable)> {
    layout
        .country
        .hops
        .iter()
        .enumerate()
        .filter_map(|(n, hop)| Some((n, &layout.tables[layout.index_of(&hop.table).filter(|ix| *ix > 0)?])))
}

/// The function of a mapped table on the country's path.
pub(super) fn watch_function(n: usize, table: &TableName) -> String {
    function_name(&format!("country{n}"), table)
}

/// `create trigger` for a table on the country's path, fired by the columns that the path uses.
pub(super) fn watch_trigger(layout: &Layout, n: usize, table: &MappedTable, when: &str) -> String {
    let mut columns: Vec<&str> = match layout.country.hops.get(n + 1) {
        None => vec![&layout.country.column],
        Some(next) => next.on.iter().map(|(a, _)| a.as_str()).collect(),
    };
    columns.dedup();
    let changed: Vec<_> = columns
        .iter()
        .map(|c| format!("{} is distinct from {}", column("old", c), column("new", c)))
        .collect();
    format!(
        "create or replace trigger {} after update on {} for each row when (({when}) and ({})) execute function {}()",
        ident(&format!("{COUNTRY_TRIGGER}{n}")),
        qualified(&table.name),
        changed.join(" or "),
        watch_function(n, &table.name)
    )
}

/// Walks back from the changed row to the subjects whose country it decides.
fn moved_on_the_way(layout: &Layout, n: usize, table: &MappedTable) -> String {
    let (key, subject) = subject_column(layout);
    let mut from = format!("{} r", qualified(&layout.tables[0].name));
    for (i, hop) in layout.country.hops.iter().take(n + 1).enumerate() {
        let before = if i == 0 { "r".to_owned() } else { format!("w{i}") };
        let alias = format!("w{}", i + 1);
        let on: Vec<_> =
            hop.on.iter().map(|(a, b)| format!("{} = {}", column(&alias, b), column(&before, a))).collect();
        from = format!("{from} join {} {alias} on {}", qualified(&hop.table), on.join(" and "));
    }
    let here = format!("w{}", n + 1);
    let keys: Vec<_> =
        table.key.iter().map(|k| format!("{} = {}", column(&here, k), column("new", k))).collect();
    plpgsql(
        &format!("{}()", watch_function(n, &table.name)),
        "trigger",
        true,
        "",
        &format!(
            "declare who {subject}; c text;\nbegin\nfor who, c in select {}, {} from {from} where {} loop\n\
             perform domicile.country_changed(who, c);\nend loop;\nreturn null;\nend",
            column("r", key),
            value(&layout.country, "r"),
            keys.join(" and ")
        ),
    )
}
