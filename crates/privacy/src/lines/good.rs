//! The client that must pass, through all lines but T8.

use super::plants::{self, Caught, Plant};
use super::{Line, t5, t6, t7, t9};
use crate::fault::Fault;
use crate::kept;
use crate::member::Member;
use crate::phone::STRANGER;
use crate::scene::{Cast, Played, Stage};
use crate::service::Service;
use crate::table::Row;
use crate::traffic::volume::volumes;
use crate::world::apart;
use crate::world::zone::{HOME, REGIONS};
use std::net::IpAddr;
use std::path::PathBuf;

/// How much faster than the wall's the handset's clock runs while nobody touches it.
pub const TIMES_AS_FAST: u64 = 240;

/// What all of them said.
#[derive(Debug, Default)]
pub struct Said {
    /// The lines.
    pub rows: Vec<Row>,
    /// Those that were played once more over TLS; empty where there are no namespaces.
    pub sealed: Vec<Row>,
    /// The faults that were planted.
    pub planted: Vec<Caught>,
    /// The scenes in the clear.
    pub scenes: Vec<(Line, Played)>,
}

/// What a line makes of a scene: what was played, what is wrong, what was seen.
type Judged = Result<(Played, Vec<Fault>, Vec<String>), String>;

/// Plays them in the order in which one follows from the other; a line that could not be played has failed.
///
/// # Errors
/// In words: the service could not be started.
pub fn play(stage: &Stage<'_>, mut heard: impl FnMut(&str)) -> Result<Said, String> {
    let mut service = Service::start(stage.dir, &stage.world.doors)?;
    let mut member = stage.world.aside(|| Member::begin(stage.dir, false))?;
    let mut said = Said::default();
    // Faults first: a test that they pass has no say about the client without them.
    let sees_all = stage.world.sees_all();
    let seen = |plant: &Plant| sees_all || !plant.needs_link;
    let mut plant = |member: &mut Member, moves: bool| {
        let wanted = |plant: &Plant| seen(plant) && (plant.line == Line::T7) == moves;
        plants::play(stage, &service, member, wanted, |caught| heard(&caught.to_string()))
    };
    said.planted = plant(&mut member, false);
    let moving = plant(&mut member, true);
    said.planted.extend(moving);
    let mut lines = Lines { stage, sealed: false, rows: Vec::new(), scenes: Vec::new() };
    lines.play(&service, &mut member, &mut heard);
    (said.rows, said.scenes) = (lines.rows, lines.scenes);
    if sees_all {
        let mut lines = Lines { stage, sealed: true, rows: Vec::new(), scenes: Vec::new() };
        match seal(stage, &mut service) {
            Ok(mut member) => lines.play(&service, &mut member, &mut heard),
            Err(why) => lines.rows.push(Row::judged(Line::T9, &[Fault::Unproven(why)], Vec::new())),
        }
        said.sealed = lines.rows;
    }
    Ok(said)
}

/// Everybody at home again, relays over TLS, and the other user with a new device that speaks it.
fn seal(stage: &Stage<'_>, service: &mut Service) -> Result<Member, String> {
    service.come_back()?;
    apart::know(&stage.world.zone)?;
    service.over_tls(stage.dir, &stage.world.zone)?;
    Member::begin(stage.dir, true)
}

/// The lines as they are played.
struct Lines<'a> {
    stage: &'a Stage<'a>,
    sealed: bool,
    rows: Vec<Row>,
    scenes: Vec<(Line, Played)>,
}

impl Lines<'_> {
    fn play(&mut self, service: &Service, member: &mut Member, heard: &mut impl FnMut(&str)) {
        let (stage, sealed) = (self.stage, self.sealed);
        let cast = |line| cast(line, sealed);
        // Where nothing is agreed to there is nothing to encrypt.
        let silent: &[Line] = if sealed { &[Line::T3] } else { &[Line::T1, Line::T2, Line::T3] };
        for line in silent {
            self.take(*line, alone(stage, &cast(*line), *line), heard);
        }
        let strange =
            if sealed { alone(stage, &cast(Line::T4), Line::T4) } else { strangers(stage, service) };
        self.take(Line::T4, strange, heard);
        self.take(Line::T5, t5::play(stage, &cast(Line::T5), service, member), heard);
        self.take(Line::T6, t6::play(stage, &cast(Line::T6), service, member, None), heard);
        self.take(Line::T7, t7::play(stage, &cast(Line::T7), service), heard);
        let (played, wanted) = (self.scenes.len(), silent.len() + 4);
        let scenes: Vec<(Line, &Played)> = self.scenes.iter().map(|(line, played)| (*line, played)).collect();
        let (mut faults, seen) = t9::judge(&scenes, &stage.world.zone);
        if played != wanted {
            faults.push(Fault::Unproven(format!("{played} of {wanted} scenes were played")));
        }
        let row = Row::judged(Line::T9, &faults, seen);
        heard(&self.word(&row));
        self.rows.push(row);
    }

    fn take(&mut self, line: Line, played: Judged, heard: &mut impl FnMut(&str)) {
        let row = match played {
            Ok((played, faults, mut seen)) => {
                seen.insert(0, self.counted(&played));
                if cast(line, self.sealed).rests && played.waits.is_empty() {
                    seen.push(
                        "at rest no thread of the handset waits for a time, says the kernel".to_owned(),
                    );
                }
                self.scenes.push((line, played));
                Row::judged(line, &faults, seen)
            }
            Err(why) => Row::judged(line, &[Fault::Unproven(why)], Vec::new()),
        };
        heard(&self.word(&row));
        self.rows.push(row);
    }

    fn word(&self, row: &Row) -> String {
        let over = if self.sealed { " over TLS" } else { "" };
        format!("{}{over} {:?}", row.line, row.outcome)
    }

    /// What there was to count, and in which file.
    fn counted(&self, played: &Played) -> String {
        let file =
            played.pcap.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let n = played.traffic.packets.len();
        let packets = format!("{n} packet{} in {file}", if n == 1 { "" } else { "s" });
        let Some(handset) = self.stage.world.zone.handset.filter(|_| self.sealed) else { return packets };
        let volumes = volumes(&played.traffic.packets, handset.into()).into_iter();
        let relays = volumes.filter_map(|(at, volume)| {
            let IpAddr::V4(address) = at.ip() else { return None };
            let host = self.stage.world.zone.at(address)?;
            (at.port() == 443).then(|| format!("; {}: {volume}", host.name))
        });
        packets + &relays.collect::<String>()
    }
}

/// A line that needs nobody but the phone's owner.
fn alone(stage: &Stage<'_>, cast: &Cast, line: Line) -> Judged {
    let played = stage.play(cast, &line.script())?;
    let faults = line.judge(&played, &stage.world.zone);
    Ok((played, faults, Vec::new()))
}

fn cast(line: Line, sealed: bool) -> Cast {
    let (scene, client) = match sealed {
        false => (line.to_string(), format!("quiet:{line}")),
        true => (format!("{line}-tls"), format!("sealed:{line}-tls")),
    };
    let rests = matches!(line, Line::T1 | Line::T2 | Line::T6);
    Cast { scene, client, times_as_fast: TIMES_AS_FAST, sealed, rests }
}

/// T4 with the strong form: whoever has the server's dump, its logs, the capture and the discovery keys does not find the
/// number in them.
fn strangers(stage: &Stage<'_>, service: &Service) -> Judged {
    let played = stage.play(&cast(Line::T4, false), &Line::T4.script())?;
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
