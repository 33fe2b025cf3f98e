//! One run: T8 first, since a test that the client of 2014 passes has no say about another one; then the client that is to pass.

use crate::asked::{self, Asked};
use crate::carried::Sought;
use crate::fault::Fault;
use crate::handset::leaky::Writing;
use crate::lines::good::Said;
use crate::lines::leaks::Leak;
use crate::lines::{Line, good, leaks};
use crate::phone::IDENTIFIERS;
use crate::picture;
use crate::scene::{Played, Stage};
use crate::table::compare::{Compared, sent};
use crate::table::{Outcome, Page, Row};
use crate::world::zone::Zone;
use crate::world::{World, apart};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Runs it all and prints the table; `false`: a line is not as it should be.
///
/// # Errors
/// In words: the arguments, or what the test itself needs and did not get.
pub fn run(args: &[String]) -> Result<bool, String> {
    let Some(asked) = asked::read(args)? else {
        print!("{}", asked::HELP);
        return Ok(true);
    };
    let by_proxy = asked.proxy || !domicile_testbed::is_root();
    let _hosts = if by_proxy { None } else { Some(apart::go(args)?) };
    let dir = folder(&asked)?;
    let began = Instant::now();
    println!("privacy-test: evidence goes to {}", dir.display());
    let (world, sought) = (World::begin(&dir, by_proxy)?, Sought::prepare()?);
    let stage = Stage { world: &world, sought: &sought, dir: &dir };
    let mut page =
        Page { head: head(&world, &sought), evidence: dir.display().to_string(), ..Page::default() };
    page.leaks = leaks::play(&stage, |leak| {
        let caught = if leak.missed.is_empty() { "caught" } else { "MISSED" };
        println!("privacy-test: T8 {:<7} {} {caught}", leak.writing.name(), leak.line);
    })?;
    let good = good::play(&stage, |said| println!("privacy-test: {said}"));
    let good = good.unwrap_or_else(|why| {
        let lines = Line::ALL.into_iter().filter(|line| *line != Line::T8);
        let rows = lines.map(|line| Row::judged(line, &[Fault::Unproven(why.clone())], Vec::new())).collect();
        Said { rows, ..Said::default() }
    });
    compare(&mut page, &good.scenes, &world.zone);
    leave(&dir.join("then-and-now.svg"), &draw(&page.leaks, &good.scenes, &world.zone))?;
    if !world.sees_all() {
        page.unsealed = Some(WITHOUT_TLS.to_owned());
    }
    (page.rows, page.sealed, page.planted) = (good.rows, good.sealed, good.planted);
    let leaked = leaked(&page);
    page.rows.push(leaked);
    page.rows.sort_by_key(|row| row.line);
    page.head.push(("took", format!("{:.0} s", began.elapsed().as_secs_f64())));
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print!("{}", page.render(colour));
    leave(&dir.join("table.txt"), &page.render(false))?;
    Ok(page.passed())
}

/// Why the lines are not played over TLS where there is a proxy.
const WITHOUT_TLS: &str = "not played: it needs namespaces. A proxy would have to be trusted with what is inside, and what a \
    device does with a relay that it knows by its name is then not seen.";

fn leave(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The scene of the client of 2014: in its own writing.
fn then(leaks: &[Leak], line: Line) -> Option<&Played> {
    leaks.iter().find(|leak| leak.line == line && leak.writing == Writing::Plain).map(|leak| &leak.played)
}

fn compare(page: &mut Page, scenes: &[(Line, Played)], zone: &Zone) {
    let both = scenes.iter().map(|(line, now)| Compared {
        line: *line,
        then: then(&page.leaks, *line).map(|then| sent(then, zone)),
        now: sent(now, zone),
    });
    page.compared = both.collect();
}

fn draw(leaks: &[Leak], scenes: &[(Line, Played)], zone: &Zone) -> String {
    let rows = scenes.iter().map(|(line, now)| picture::Row { line: *line, then: then(leaks, *line), now });
    picture::svg(&rows.collect::<Vec<_>>(), zone)
}

fn leaked(page: &Page) -> Row {
    let caught = page.leaks.iter().filter(|leak| leak.missed.is_empty()).count();
    let all = !page.leaks.is_empty() && caught == page.leaks.len();
    let outcome = if all { Outcome::Passed } else { Outcome::Failed };
    let seen = vec![format!(
        "caught in {caught} of {} scenes; how many identifiers each line named:",
        page.leaks.len()
    )];
    Row { line: Line::T8, outcome, seen }
}

fn head(world: &World, sought: &Sought) -> Vec<(&'static str, String)> {
    let seen = if world.sees_all() {
        "tcpdump at the interface of the handset, a process in a network namespace of its own whose only link leads \
         into this test's world; every packet counts, the kernel's too"
    } else {
        "a recording proxy, since we are not root or were asked for it. WEAKER: it sees what goes through it and no \
         DNS, and nothing keeps a client from going another way"
    };
    vec![
        ("seen by", seen.to_owned()),
        (
            "clock",
            format!(
                "while nobody touches the phone its clock runs {} times as fast as the wall's, that of a client with faults {} \
                 times. What waits for the wall's clock would not be seen: so at rest nothing may wait for a time, and the \
                 kernel is asked whether anything does",
                good::TIMES_AS_FAST,
                leaks::TIMES_AS_FAST
            ),
        ),
        (
            "audit",
            format!(
                "{} identifiers in every writing that the audit knows; controls of {} sorts are planted for each capture \
             and must be found",
                IDENTIFIERS.len(),
                sought.canaries.len()
            ),
        ),
    ]
}

/// The folder of evidence: it must be new or empty, so that nothing of an earlier run is taken for this one's.
fn folder(asked: &Asked) -> Result<PathBuf, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
    let fresh = || std::env::temp_dir().join(format!("domicile-privacy-test-{}", since.as_nanos()));
    let dir = asked.keep.clone().unwrap_or_else(fresh);
    let said = |dir: &Path, e: std::io::Error| format!("{}: {e}", dir.display());
    fs::create_dir_all(&dir).map_err(|e| said(&dir, e))?;
    if fs::read_dir(&dir).map_err(|e| said(&dir, e))?.next().is_some() {
        return Err(format!("{} is not empty: name a new folder", dir.display()));
    }
    dir.canonicalize().map_err(|e| said(&dir, e))
}
