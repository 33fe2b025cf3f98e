//! What a receipt does not prove, as far as it follows from the receipt itself.

use crate::{Erasure, Location, WaveRecord};

/// Clauses that complete "It is not proven ...", for the header and for the summary alike.
pub(crate) fn doubts(wave: &WaveRecord) -> Vec<String> {
    let mut all = Vec::new();
    for region in [&wave.source, &wave.target] {
        if region.location == Location::Declared {
            let (id, country) = (&region.id, &region.country);
            all.push(format!(
                "that region `{id}` stands in {country}: declared, neither observed nor attested"
            ));
        }
    }
    match &wave.erasure {
        Erasure::Pending(p) => {
            all.push(format!("that the source has forgotten: erasure is pending until {}", p.grace_ends_at));
        }
        Erasure::LogicallyErased(e) => {
            if e.physically_gone_at().is_none() {
                all.push("when the bytes are physically gone from the source".into());
            }
            all.extend(
                e.not_seen().iter().map(|s| format!("that nothing remains in what was not seen: {s}")),
            );
        }
    }
    // The latest counts: what an earlier one found may be gone.
    all.extend(wave.residue_searches.last().iter().flat_map(|search| search.doubts()));
    if wave.standbys.names().is_empty() {
        all.push(format!("that the fence outlived a fail-over: {}", wave.standbys.says()));
    }
    all.extend(
        wave.not_moved.iter().map(|s| format!("anything about the store `{}`: it was not moved", s.name)),
    );
    all.extend(
        wave.unmapped
            .iter()
            .map(|t| format!("anything about the table `{}`: the data map does not know it", t.table)),
    );
    all.push("that these are the only receipts of the wave: there is no public log yet".into());
    all.push("that two parties signed: who holds the keys of both regions can sign alone".into());
    all.push("that nobody copied the data elsewhere before, during or after the move".into());
    all
}

/// `first`, then what of `then` is not there yet.
pub(crate) fn joined(first: Vec<String>, then: &[String]) -> Vec<String> {
    let mut all = first;
    for clause in then {
        if !all.contains(clause) {
            all.push(clause.clone());
        }
    }
    all
}
