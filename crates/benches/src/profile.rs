//! Where the processors' time goes: by process, and by statement on both servers (`--profile`).

use crate::Fallible;
use crate::ground::Ground;
use domicile_testbed::postgres::Cluster;
use std::fs;

/// Lines of `postgresql.conf` that a profile needs.
pub const SETTINGS: [&str; 3] = [
    "shared_preload_libraries='pg_stat_statements'",
    "pg_stat_statements.track=all",
    "pg_stat_statements.track_utility=on",
];

/// Statements that are shown of each server.
const SHOWN: u32 = 14;

/// Processor seconds so far of this process, the old home's cluster and the new home's.
#[derive(Clone, Copy)]
pub struct Spent([f64; 3]);

impl Spent {
    /// Reads them. Backends that have ended count with their postmaster.
    pub fn now(ground: &Ground) -> Self {
        Self([of_process(std::process::id(), false), of_cluster(&ground.old), of_cluster(&ground.new)])
    }

    /// What was spent since, in words.
    pub fn since(self, ground: &Ground) -> String {
        let now = Self::now(ground);
        let spent: Vec<f64> = now.0.iter().zip(self.0).map(|(now, then)| now - then).collect();
        format!("mover {:.2} s, old home {:.2} s, new home {:.2} s", spent[0], spent[1], spent[2])
    }
}

fn of_cluster(cluster: &Cluster) -> f64 {
    let postmaster = cluster.pid();
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    of_process(postmaster, true) + children.map(|pid| of_process(pid, false)).sum::<f64>()
}

/// User and system time of `/proc/PID/stat`, with that of children that were waited for.
fn of_process(pid: u32, with_children: bool) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11);
    let ticks = fields.take(if with_children { 4 } else { 2 }).filter_map(|t| t.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Begins to count statements anew.
pub fn reset(ground: &Ground) {
    for cluster in [&ground.old, &ground.new] {
        cluster.sql(
            "postgres",
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()",
        );
    }
}

/// The statements that took longest, to stderr: calls, milliseconds in all, of one, its beginning.
pub fn tell(ground: &Ground) -> Fallible<()> {
    for (name, cluster) in [("old home", &ground.old), ("new home", &ground.new)] {
        let sql = format!(
            "SELECT format('%7s calls %9s ms %8s ms each %8s rows  %s', calls, \
               round((total_exec_time + total_plan_time)::numeric, 1), \
               round(((total_exec_time + total_plan_time) / calls)::numeric, 3), rows, \
               left(regexp_replace(query, '\\s+', ' ', 'g'), 230)) \
             FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' \
             ORDER BY total_exec_time + total_plan_time DESC LIMIT {SHOWN}"
        );
        eprintln!("{name}:\n{}", cluster.sql("postgres", &sql));
    }
    Ok(())
}
