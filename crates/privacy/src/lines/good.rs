//! The client that must pass, through all lines but T8.

use super::{Line, t5, t6, t7, t9};
use crate::fault::Fault;
use crate::kept;
use crate::member::Member;
use crate::phone::STRANGER;
use crate::scene::{Cast, Played, Stage};
use crate::service::Service;
use crate::table::Row;
use crate::world::zone::{HOME, REGIONS};
use std::path::PathBuf;

/// How much faster than the wall's the handset's clock runs while nobody touches it.
pub const TIMES_AS_FAST: u64 = 60;

/// Plays them in the order in which one follows from the other; a line that could not be played has failed.
///
/// # Errors
/// In words: the service could not be started.
pub fn play(stage: &Stage<'_>, mut heard: impl FnMut(&Row)) -> Result<Vec<Row>, String> {
    let service = Service::start(stage.dir, &stage.world.doors)?;
    let mut member = stage.world.aside(|| Member::begin(stage.dir))?;
    let (mut rows, mut scenes) = (Vec::new(), Vec::new());
    let mut take = |line: Line, played: Result<(Played, Vec<Fault>, Vec<String>), String>| {
        let row = match played {
            Ok((played, faults, mut seen)) => {
                let n = played.traffic.packets.len();
                seen.insert(
                    0,
                    format!("{n} packet{} in {}", if n == 1 { "" } else { "s" }, played.pcap.display()),
                );
                scenes.push((line, played));
                Row::judged(line, &faults, seen)
            }
            Err(why) => Row::judged(line, &[Fault::Unproven(why)], Vec::new()),
        };
        heard(&row);
        rows.push(row);
    };
    for line in [Line::T1, Line::T2, Line::T3] {
        let played = stage.play(&line.to_string(), &cast(line), &line.script());
        take(
            line,
            played.map(|p| {
                let faults = line.judge(&p, &stage.world.zone);
                (p, faults, Vec::new())
            }),
        );
    }
    take(Line::T4, strangers(stage, &service));
    take(Line::T5, t5::play(stage, &cast(Line::T5), &mut member));
    take(Line::T6, t6::play(stage, &cast(Line::T6), &service, &mut member));
    take(Line::T7, t7::play(stage, &cast(Line::T7), &service));
    let (faults, seen) = t9::judge(&scenes, &stage.world.zone);
    let row = match scenes.len() {
        7 => Row::judged(Line::T9, &faults, seen),
        n => Row::judged(Line::T9, &[Fault::Unproven(format!("{n} of 7 scenes were played"))], seen),
    };
    rows.push(row);
    Ok(rows)
}

fn cast(line: Line) -> Cast {
    Cast { client: format!("quiet:{line}"), times_as_fast: TIMES_AS_FAST }
}

/// T4 with the strong form: whoever has the server's dump, its logs, the capture and the discovery keys does not find the
/// number in them.
fn strangers(stage: &Stage<'_>, service: &Service) -> Result<(Played, Vec<Fault>, Vec<String>), String> {
    let played = stage.play("T4", &cast(Line::T4), &Line::T4.script())?;
    let mut faults = Line::T4.judge(&played, &stage.world.zone);
    let mut files: Vec<PathBuf> = service.logs()?;
    for (region, _) in REGIONS {
        let dump = stage.dir.join(format!("T4-{region}.sql"));
        service.dump(region, &dump)?;
        files.push(dump);
    }
    let (report, kept) = kept::numbers(&files, stage.sought)?;
    crate::audit::leave(&report, stage.sought, &stage.dir.join("T4-server.sql"))?;
    faults.extend(kept);
    let keys = REGIONS
        .map(|(region, _)| service.discovery_key(region))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let searched = files.len();
    files.push(played.pcap.clone());
    faults.extend(kept::tags(&files, &keys, STRANGER)?);
    // The same search must find somebody who is a user.
    let dump = [stage.dir.join(format!("T4-{HOME}.sql"))];
    if kept::tags(&dump, &keys[..1], crate::phone::MEMBER)?.is_empty() {
        faults.push(Fault::Unproven("a user's locator is not found in the dump either".into()));
    }
    let seen = format!(
        "{searched} dumps and logs, {} bytes: no number, and with the discovery keys no tag of it",
        report.scanned.bytes
    );
    Ok((played, faults, vec![seen]))
}
