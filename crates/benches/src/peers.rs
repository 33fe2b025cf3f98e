//! Programs of others that do the same work: found, run within bounds, their failures in words.

use crate::Fallible;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that one run of a peer may take.
const PEER_MAX: Duration = Duration::from_secs(600);

/// A peer's command, ended by the system when it takes too long.
pub fn peer(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &PEER_MAX.as_secs().to_string(), program]);
    command
}

/// Runs it to its end: its standard output and the seconds it took.
///
/// Waits on another thread, or what else this process does would stand still.
pub async fn run(mut command: Command) -> Fallible<(String, f64)> {
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let output = command.stdin(Stdio::null()).output()?;
        let seconds = began.elapsed().as_secs_f64();
        if output.status.success() {
            return Ok((String::from_utf8_lossy(&output.stdout).into_owned(), seconds));
        }
        let error = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = error.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        // Behind `timeout`, its grace and its seconds.
        let behind = command.get_args().nth(2).filter(|_| command.get_program() == "timeout");
        let program = behind.unwrap_or(command.get_program()).to_string_lossy();
        Err(format!("{program}: {}: {}", output.status, last.join(" / ")).into())
    })
    .await?
}

/// The first line of what a program says of its version; an error where there is none.
pub async fn version(program: &str, word: &str) -> Fallible<String> {
    let mut command = peer(program);
    command.arg(word);
    let missing = |why| format!("{program} is missing (`cargo xtask bench` installs it): {why}");
    let (told, _) = run(command).await.map_err(missing)?;
    Ok(told.lines().next().unwrap_or_default().trim().to_owned())
}
