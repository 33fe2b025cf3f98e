//! A million homes in memory: what a gateway takes that has read them all.

use super::process::directory;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use domicile_server::directory::Spelling;
use domicile_server::gateway::{Gateway, Limits, Settings, Upstream};
use domicile_stores::records::SubjectId;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Homes of the claim.
const HOMES: u32 = 1_000_000;
/// Given in one call.
const TOGETHER: u32 = 10_000;

/// Measures and prints.
pub async fn run(asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let homes = if asked.quick { 50_000 } else { HOMES };
    let folder = tempfile::tempdir()?;
    eprintln!("bench: gateway, {homes} homes in memory");
    let directory = directory(folder.path()).await?;
    for from in (0..homes).step_by(TOGETHER as usize) {
        let subjects: Vec<SubjectId> = (from..from + TOGETHER).map(|n| SubjectId(n.to_string())).collect();
        directory.register("shop", "home", &subjects).await?;
    }
    drop(directory);
    let me = std::env::current_exe()?;
    let output = Command::new(me).args(["gateway-homes", &folder.path().display().to_string()]).output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = told.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [read, seconds, mib, before] = figures[..] else { return Err(format!("it says {told}").into()) };
    println!(
        "\n### {homes} homes in memory\n\n{read} read from a SQLite control store in {seconds:.1} s; {mib:.0} MiB resident, of them {before:.0} before the first.\n"
    );
    if !asked.quick {
        // 150 MB, in MiB.
        verdicts.add("gateway, memory with a million homes, MiB", Target::AtMost(143.0), &[mib]);
    }
    Ok(())
}

/// In a process of its own: homes, seconds, MiB, MiB before.
pub async fn process(folder: &str) -> Fallible<()> {
    let settings = Settings {
        service: "shop".into(),
        name: "bench".into(),
        upstreams: BTreeMap::from([("home".into(), Upstream { address: "http://127.0.0.1:1".parse()? })]),
        subject: Vec::new(),
        spelling: Spelling::Integer,
        sign_up: None,
        logins: Vec::new(),
        edge: None,
        stands_in: None,
        well_known: None,
        trusts_forwarded: false,
        limits: Limits { homes: 2 * HOMES as usize, ..Limits::default() },
    };
    let gateway = Gateway::start(directory(Path::new(folder)).await?, settings).await?;
    let (before, begun) = (resident_mib()?, Instant::now());
    let read = gateway.preload().await?;
    println!("{read} {} {} {before}", begun.elapsed().as_secs_f64(), resident_mib()?);
    Ok(())
}

/// `VmRSS` of this process.
fn resident_mib() -> Fallible<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
