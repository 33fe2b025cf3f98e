//! Planted bugs: whether the torture finds what it is there to find, and after how long.

use crate::Fallible;
use crate::drive::Asked;
use crate::ground::Engine;
use domicile_stores::planted::Bug;
use std::time::Instant;
use tokio::process::Command;

/// Runs the torture with one bug planted, or with each. True: every one was found.
pub async fn run(asked: &Asked, name: &str) -> Fallible<bool> {
    let bugs: Vec<Bug> = Bug::ALL.into_iter().filter(|bug| name == "all" || bug.name() == name).collect();
    if bugs.is_empty() {
        let names = Bug::ALL.map(Bug::name).join(", ");
        return Err(format!("no bug is called `{name}`; there are: {names}, and `all`").into());
    }
    let engine = if asked.engine == Engine::Sqlite { "sqlite" } else { "postgres" };
    let mut all_found = true;
    for bug in bugs {
        let began = Instant::now();
        let folder = asked.folder.join(bug.name());
        let mut command = Command::new(std::env::current_exe()?);
        command.env("DOMICILE_PLANTED", bug.name()).args(["--engine", engine]);
        command.args(["--seed", &asked.seed.to_string()]).arg("--evidence").arg(&folder);
        match asked.time {
            Some(time) => command.args(["--minutes", &(time.as_secs_f64() / 60.0).to_string()]),
            None => command.arg("--once"),
        };
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let seconds = began.elapsed().as_secs();
        let found = output.status.code() == Some(1);
        let told = text.lines().skip_while(|line| !line.starts_with("FOUND"));
        let told: Vec<&str> =
            told.take(2).map(|line| line.rsplit(" s: ").next().unwrap_or(line).trim()).collect();
        if !found && output.status.code() != Some(0) {
            return Err(format!("{}: {}", bug.name(), String::from_utf8_lossy(&output.stderr)).into());
        }
        let how = if found { "found" } else { "NOT FOUND" };
        let told: String = told.join("; e.g. ").chars().take(220).collect();
        println!("{:<17} {how} after {seconds} s  {told}", bug.name());
        all_found &= found;
    }
    Ok(all_found)
}
