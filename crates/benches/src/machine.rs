//! The machine that the figures are of.

use crate::ground::{Ground, SETTINGS};
use std::fs;

/// Cores, memory, kernel, PostgreSQL, settings, date and load, as Markdown.
pub fn described(ground: &Ground) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
    };
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    format!(
        "- {} cores ({}), {:.1} GiB of memory, Linux {}\n- PostgreSQL {}, two clusters on loopback, {}; control store: SQLite in a file\n- {}\n{}",
        std::thread::available_parallelism().map_or(0, usize::from),
        field(&read("/proc/cpuinfo"), "model name"),
        memory as f64 / f64::from(1 << 20),
        read("/proc/sys/kernel/osrelease").trim(),
        ground.old.sql("postgres", "SHOW server_version"),
        SETTINGS.join(", "),
        jiff::Zoned::now().date(),
        load("at the start"),
    )
}

/// Load average of the last minute: more than the cores means that others were at work.
pub fn load(when: &str) -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("- load average {when}: {}", text.split(' ').next().unwrap_or("unknown"))
}
