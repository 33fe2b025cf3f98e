//! `cargo xtask bench latency`: what the reference case announced of speed, replayed. For each market of the case's latency
//! table a user's browser asks a real application behind a real gateway: before, all in Beijing and no edge; after, from
//! the home that policy and latency choose, behind a gateway with an edge cache in the nearest place that policy permits.
//!
//! What is real: TCP, TLS, HTTP/2, the gateway, the cache, the application, its database. What is emulated: the way
//! between user and servers, packet by packet in network namespaces, or, where there may be none, by delay proxies.

mod announced;
mod asked;
mod browser;
mod chart;
mod delayed;
mod market;
mod measure;
mod table;
mod town;
mod way;

use crate::Fallible;
use asked::Asked;
pub use browser::run as browser;
use market::Market;
use measure::Measured;
use std::fs;
use town::Town;

/// Reads the words after `latency`, measures, prints, draws.
pub async fn run(words: &[&str]) -> Fallible<()> {
    let Some(asked) = Asked::parse(words)? else {
        print!("{}", asked::HELP);
        return Ok(());
    };
    let case = market::Case::of_2014()?;
    let markets: Vec<Market> = case.markets()?.into_iter().filter(|m| asked.wants(m)).collect();
    if markets.is_empty() {
        return Err("--markets names none of the table's markets".into());
    }
    let by = way::By::asked(asked.proxies).await;
    eprintln!("bench: {} markets, before and after, {} users each, by {by}", markets.len(), asked.users);
    eprintln!("bench: all of them take {}", by.duration());
    let town = Town::start(&case, &markets).await?;
    let measured = measure::all(&town, &markets, &asked, by).await?;
    println!("{}", table::told(&asked, by, &measured));
    println!("{}", announced::told(&measured));
    draw(&asked, by, &measured)
}

fn draw(asked: &Asked, by: way::By, measured: &[Measured]) -> Fallible<()> {
    let Some(dir) = &asked.plots else { return Ok(()) };
    let file = dir.join(by.picture());
    fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    fs::write(&file, chart::svg(asked, by, measured)).map_err(|e| format!("{}: {e}", file.display()))?;
    eprintln!("bench: {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One far market, one user, by delay proxies, which every machine has.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_far_market_is_faster_from_its_home() -> Fallible<()> {
        let asked =
            Asked { users: 1, repeats: 1, photo_bytes: 200_000, ..Asked::parse(&[])?.unwrap_or_default() };
        let case = market::Case::of_2014()?;
        let markets: Vec<Market> =
            case.markets()?.into_iter().filter(|m| m.country.alpha2() == "IN").collect();
        assert_eq!((markets[0].home.as_str(), markets[0].edge.as_str()), ("mumbai", "mumbai"));
        let town = Town::start(&case, &markets).await?;
        let measured = measure::all(&town, &markets, &asked, way::By::Proxies).await?;
        let [before, after] = &measured[0].sides;
        for measure in measure::MEASURES {
            assert!(after.median(measure) < before.median(measure), "{}: {before:?} {after:?}", measure.name);
        }
        // Else it would have measured something else.
        assert_eq!((before.edge_hits, after.edge_hits), (0, 12));
        Ok(())
    }
}
