//! The slow path of the guard: what a write meets whose subject is not simply `home` or `moving`.

use super::{GATE_SLOTS, plpgsql, subject_column, tables::tally};
use crate::planted::Bug;
use domicile_datamap::layout::Layout;

/// `enter`, `enter_alone`, `refuse`, `ownerless`, `unresolved` and `truncating`.
pub(super) fn functions(layout: &Layout) -> Vec<String> {
    let (_, subject) = subject_column(layout);
    vec![refuse(), enter(subject), enter_alone(subject), ownerless(), unresolved(), truncating()]
}

/// The words of a refusal, in one place. Never a value of a row: the subject is not named.
fn refuse() -> String {
    plpgsql(
        "domicile.refuse(tbl text, state \"char\", epoch bigint)",
        "void",
        false,
        "",
        r#"
declare word text; why text; region text;
begin
  word := case state when 'k' then 'marking' when 'g' then 'fencing' when 'f' then 'fenced' when 's' then 'sealed'
    when 'a' then 'arriving' when 'w' then 'away' else 'unknown' end;
  why := case state
    when 'k' then 'a move of the subject begins; it is writable here again in a moment'
    when 'a' then 'the subject is on its way here and becomes writable when its move is done'
    when 'w' then 'the subject moved away; its new home has epoch ' || epoch
    else 'the subject is being moved; its home changes in a moment, or it stays' end;
  if state is null then why := 'this region has no home row for the subject: it lives elsewhere or has not signed up'; end if;
  select r.region into region from domicile.region r;
  raise exception using errcode = 'RS001',
    message = format('a row of %s is not writable in region %s now (subject %s): look the home up and retry', tbl, region, word),
    detail = format('state %s, epoch %s: %s', word, coalesce(epoch::text, 'none'), why),
    hint = 'Roll the transaction back, look the home of the subject up in the directory, and repeat it there.';
end"#,
    )
}

/// Locks the subject for a write and says how it may pass: `h`, `m` (to be recorded), or `-` where
/// the subject has no row and the mode lets it pass. Else it refuses.
///
/// The lock is KEY SHARE with the state test inside the locking query: a refused writer holds no lock
/// and can't starve the fence by retrying. A fence that its worker left ends here, in the writer:
/// `fencing` and `fenced` past their deadline become `moving`, `marking` becomes `home`; `sealed` has
/// no clock. That update leaves `gen` alone. A bump would wait for the subject's writers and so let two
/// of them deadlock, and is not needed: a mark or a fence is only trusted after a bump of its own.
///
/// A subject without a row, where that passes, still takes a lock: on the open round of
/// `domicile.gate`. Who gives rows to subjects opens a new round and waits for the old one, so no
/// write that passed unseen is in flight when a wave begins. The row is looked up once more under
/// that lock, since it may have come between.
fn enter(subject: &str) -> String {
    let tally = tally("tbl", "'no home row'");
    let ends = if Bug::SealEnds.is_planted() { "'g', 'f', 'k', 's'" } else { "'g', 'f', 'k'" };
    plpgsql(
        &format!("domicile.enter(who {subject}, tbl text)"),
        "\"char\"",
        false,
        "",
        &format!(
            r#"
declare s "char"; e bigint; d timestamptz; m text;
begin
  loop
    select h.state into s from domicile.home h where h.subject = who and h.state in ('h','m') for key share;
    if found then return s; end if;
    select h.state, h.epoch, h.deadline into s, e, d from domicile.home h where h.subject = who;
    if not found then
      select r.mode into m from domicile.region r;
      if m = 'enforce' then perform domicile.refuse(tbl, null, null); end if;
      perform from domicile.gate g where g.open and g.slot = pg_backend_pid() % {GATE_SLOTS} for key share;
      if not found then continue; end if;
      select r.mode into m from domicile.region r;
      if m = 'enforce' then continue; end if;
      perform from domicile.home h where h.subject = who;
      if found then continue; end if;
      if m = 'observe' then {tally} end if;
      return '-';
    end if;
    if s in ('h', 'm') then continue; end if;
    if s in ({ends}) and d < clock_timestamp() then
      update domicile.home h set state = case when h.state = 'k' then 'h' else 'm' end::"char", deadline = null,
          batch = case when h.state = 'k' then null else h.batch end
        where h.subject = who and h.state in ({ends}) and h.deadline < clock_timestamp();
      continue;
    end if;
    perform domicile.refuse(tbl, s, e);
  end loop;
end"#
        ),
    )
}

/// The same for an owner change: `gen = gen + 1` waits for the subject's writers, who may have
/// reached their row by the path that is about to change, and fails those with an older snapshot.
fn enter_alone(subject: &str) -> String {
    plpgsql(
        &format!("domicile.enter_alone(who {subject}, tbl text)"),
        "\"char\"",
        false,
        "",
        r#"
declare s "char";
begin
  loop
    update domicile.home h set gen = h.gen + 1 where h.subject = who and h.state in ('h','m') returning h.state into s;
    if found then return s; end if;
    s := domicile.enter(who, tbl);
    if s = '-' then return s; end if;
  end loop;
end"#,
    )
}

/// A row that would belong to nobody.
fn ownerless() -> String {
    let tally = tally("tbl", "'no owner'");
    plpgsql(
        "domicile.ownerless(tbl text)",
        "void",
        false,
        "",
        &format!(
            r#"
declare m text;
begin
  select r.mode into m from domicile.region r;
  if m = 'observe' then {tally}
  elsif m = 'enforce' then
    raise exception using errcode = 'RS002', message = format('a row of %s would belong to no subject', tbl),
      detail = 'The columns that lead to its subject are NULL, here or further up, so no region is its home.',
      hint = 'Write the row with its owner, or exclude the table from the data map.';
  end if;
end"#
        ),
    )
}

/// A row whose parent is not there. 23503, as the foreign key would say: not to be retried. Under
/// REPEATABLE READ the parent may be newer than the snapshot, which the foreign key sees and we don't.
fn unresolved() -> String {
    let tally = tally("tbl", "'parent not found'");
    plpgsql(
        "domicile.unresolved(tbl text)",
        "void",
        false,
        "",
        &format!(
            r#"
begin
  if (select r.mode from domicile.region r) = 'observe' then {tally} return; end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = '40001', message = format('the owner of a row of %s is not visible to this transaction', tbl),
      hint = 'Retry the transaction: its snapshot is older than the row it refers to, or that row does not exist.';
  end if;
  raise exception using errcode = '23503', message = format('a row of %s refers to a row that does not exist', tbl),
    detail = 'Its owner cannot be found, so its home is unknown.';
end"#
        ),
    )
}

/// TRUNCATE: no row trigger sees it, so it waits until no batch is open here.
fn truncating() -> String {
    plpgsql(
        "domicile.truncating()",
        "trigger",
        true,
        "",
        r#"
begin
  perform from domicile.region r where r.one and r.waves = 0 for key share;
  if not found then
    raise exception using errcode = 'RS001',
      message = format('%I.%I cannot be truncated while subjects are moved: retry when no wave is open', tg_table_schema, tg_table_name);
  end if;
  return null;
end"#,
    )
}
