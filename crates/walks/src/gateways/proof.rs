//! Checks that do not use Domicile: the load's log, and plain SQL over all regions.

use super::wave::Moved;
use crate::adopt::site::{PLACES, Site};
use crate::walk::Result;
use domicile_sample::check::check;
use domicile_sample::load::{Entry, Tally};

/// No request failed, was done twice, or was answered by a region that was not its subject's home.
pub fn all(site: &Site, moved: &Moved, all: &Tally, log: &[Entry]) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let verdict = runtime.block_on(check(&site.regions(), log))?;
    println!("\nwhat the application's users met while {} people moved", moved.planned);
    println!("────────────────────────────────────────────────────────────────────────────────");
    println!(
        "  {:<24} {:>8} {:>7} {:>8} {:>8} {:>8}",
        "", "requests", "failed", "p50 ms", "p99 ms", "longest"
    );
    line("before", &moved.before);
    line("while people moved", &moved.during);
    println!(
        "\n  moved        {} people in {:.0} s; a gateway and the worker killed and started again",
        moved.planned,
        moved.took.as_secs_f64()
    );
    println!(
        "  repeated     {} by clients at the other gateway: {} were cut off in the middle, the others found nobody",
        all.repeated, all.cut
    );
    println!("{verdict}");
    println!("  failed       {}, wrong answers {}", all.failed, all.wrong);
    if !verdict.good() || all.failed + all.wrong > 0 {
        return Err(format!("the promise is not kept\n{all}"));
    }
    everybody_is_where_they_belong(site)
}

fn line(name: &str, tally: &Tally) {
    let ms = |share| tally.latency.quantile(share).as_secs_f64() * 1000.0;
    println!(
        "  {name:<24} {:>8} {:>7} {:>8.1} {:>8.1} {:>8.0}",
        tally.answered() + tally.failed,
        tally.failed + tally.wrong,
        ms(0.5),
        ms(0.99),
        tally.latency.longest().as_secs_f64() * 1000.0
    );
}

/// By plain SQL: whoever the region's own table says is at home there has its country.
fn everybody_is_where_they_belong(site: &Site) -> Result<()> {
    let home = if matches!(site, Site::Postgres(_)) { "domicile.home" } else { "domicile_home" };
    let mut said = Vec::new();
    for (at, place) in PLACES.iter().enumerate() {
        let sql =
            format!("SELECT p.country FROM people p JOIN {home} h ON h.subject = p.id WHERE h.state = 'h'");
        let countries = site.rows(at, &sql)?;
        if let Some(stray) = countries.iter().find(|c| *c != place.country) {
            return Err(format!("{} is the home of somebody of {stray}", place.id));
        }
        said.push(format!("{} {} ({})", place.id, countries.len(), place.country));
    }
    println!("  at home      {}", said.join(", "));
    Ok(())
}
