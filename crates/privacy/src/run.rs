//! One run: T8 first, since a test that the client of 2014 passes has no say about another one; then the client that is to pass.

use crate::asked::{self, Asked};
use crate::carried::Sought;
use crate::fault::Fault;
use crate::lines::{Line, good, leaks};
use crate::phone::IDENTIFIERS;
use crate::scene::Stage;
use crate::table::{Outcome, Page, Row};
use crate::world::World;
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
    let dir = folder(&asked)?;
    let began = Instant::now();
    println!("privacy-test: evidence goes to {}", dir.display());
    let (world, sought) =
        (World::begin(&dir, asked.proxy || !domicile_testbed::is_root())?, Sought::prepare()?);
    let stage = Stage { world: &world, sought: &sought, dir: &dir };
    let mut page =
        Page { head: head(&world, &sought), evidence: dir.display().to_string(), ..Page::default() };
    page.leaks = leaks::play(&stage, |leak| {
        let caught = if leak.missed.is_empty() { "caught" } else { "MISSED" };
        println!("privacy-test: T8 {:<7} {} {caught}", leak.writing.name(), leak.line);
    })?;
    let good = good::play(&stage, |row| println!("privacy-test: {} {:?}", row.line, row.outcome));
    let good = good.unwrap_or_else(|why| {
        let lines = Line::ALL.into_iter().filter(|line| *line != Line::T8);
        lines.map(|line| Row::judged(line, &[Fault::Unproven(why.clone())], Vec::new())).collect()
    });
    page.rows = good;
    let leaked = leaked(&page);
    page.rows.push(leaked);
    page.rows.sort_by_key(|row| row.line);
    page.head.push(("took", format!("{:.0} s", began.elapsed().as_secs_f64())));
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print!("{}", page.render(colour));
    let table = dir.join("table.txt");
    fs::write(&table, page.render(false)).map_err(|e| format!("{}: {e}", table.display()))?;
    Ok(page.passed())
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
                "while nobody touches the phone its clock runs {} times as fast as the wall's; that of the client that leaks \
                 {} times",
                good::TIMES_AS_FAST,
                leaks::TIMES_AS_FAST
            ),
        ),
        (
            "audit",
            format!(
                "{} identifiers in every writing that the audit knows; canaries of {} sorts are planted for each capture \
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
