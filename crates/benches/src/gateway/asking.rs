//! One run of wrk, and what the proxy used meanwhile.

use super::peers::{OTHER_CORE, Proxy};
use crate::Fallible;
use std::path::Path;
use std::process::Command;

/// Connections that ask, each one thing after the other.
const CONNECTIONS: &str = "32";

/// What was seen.
pub struct Measured {
    pub per_s: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// CPU time of the proxy for each request, µs.
    pub cpu_us: f64,
    /// Answers that were no success, and connections that broke.
    pub failed: u64,
}

/// Each request with the next token of the file, the same for all proxies.
const SCRIPT: &str = r#"
local requests, at = {}, 0
function init(args)
  if not args[1] then
    requests[1] = wrk.format("GET")
    return
  end
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// Asks for `seconds`, after a second to warm up; without tokens, as a browser asks for what is public.
pub fn ask(
    proxy: &Proxy,
    path: &str,
    tokens: Option<&Path>,
    folder: &Path,
    seconds: u64,
) -> Fallible<Measured> {
    let script = folder.join("wrk.lua");
    std::fs::write(&script, SCRIPT)?;
    wrk(proxy, path, &script, tokens, 1)?;
    let before = proxy.cpu_s();
    let [requests, us, p50_us, p99_us, failed] = wrk(proxy, path, &script, tokens, seconds)?;
    let cpu_us = (proxy.cpu_s() - before) * 1e6 / requests;
    Ok(Measured { per_s: requests / us * 1e6, p50_us, p99_us, cpu_us, failed: failed as u64 })
}

fn wrk(proxy: &Proxy, path: &str, script: &Path, tokens: Option<&Path>, seconds: u64) -> Fallible<[f64; 5]> {
    let output = Command::new("taskset")
        .args([
            "-c",
            OTHER_CORE,
            "wrk",
            "-t1",
            "-c",
            CONNECTIONS,
            "-d",
            &format!("{seconds}s"),
            "--latency",
            "-s",
        ])
        .arg(script)
        .arg(format!("http://127.0.0.1:{}{path}", proxy.port))
        .arg("--")
        .args(tokens)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let line = line.ok_or_else(|| format!("wrk: {}{text}", String::from_utf8_lossy(&output.stderr)))?;
    let figures: Vec<f64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
    figures.try_into().map_err(|_| format!("wrk says {line}").into())
}
