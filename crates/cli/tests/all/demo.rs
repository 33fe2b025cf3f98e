//! The demo as a whole, small: both cases from an empty folder to the proofs.

use serde_json::Value;
use std::process::{Command, Stdio};

/// So many that the killed worker's last wave takes long enough to be killed in its middle, on any machine.
const ACCOUNTS: &str = "1500";
/// Findings that must be none.
const NONE: [&str; 10] = [
    "lost",
    "doubled",
    "stale",
    "misplaced",
    "resurrected",
    "invented",
    "objects_wrong",
    "objects_left",
    "unsettled",
    "numbers_found",
];

/// Runs a case in a folder of its own, and returns what it said.
fn demo(case: &str) -> Value {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_domicile"));
    command.args(["--json", "demo", "--fast", "--dir", "there", "--accounts", ACCOUNTS, "--case", case]);
    command.current_dir(dir.path()).env_remove("DOMICILE_CONFIG").stdin(Stdio::null());
    let output = command.output().expect("the binary runs");
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{failed}");
    let json: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}\n{failed}"));
    assert!(dir.path().join("there/domicile.toml").exists(), "the folder is left to look at");
    json
}

fn number(json: &Value, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {json:#}"))
}

/// What must be so in either case.
fn holds(json: &Value, case: &str) {
    assert_eq!(json["case"], case);
    assert_eq!(json["holds"], true, "{json:#}");
    for finding in NONE {
        assert_eq!(number(json, finding), 0, "{finding}: {json:#}");
    }
    assert_eq!(number(json, "killed"), 1, "{json:#}");
    assert_eq!(json["control_found"], true);
    assert!(number(json, "receipts") > 0);
    assert_eq!(number(json, "receipts"), number(json, "receipts_verified"));
    for compared in ["rows_compared", "objects_compared", "numbers_scanned", "acknowledged", "pauses"] {
        assert!(number(json, compared) > 0, "{compared}: {json:#}");
    }
}

/// People at a region, before and after.
fn people(json: &Value, region: &str) -> (u64, u64) {
    let regions = json["regions"].as_array().expect("regions");
    let at =
        regions.iter().find(|r| r["region"] == region).unwrap_or_else(|| panic!("no {region}: {json:#}"));
    (number(&at["before"], "people"), number(&at["after"], "people"))
}

#[test]
fn the_reference_case_holds() {
    let json = demo("reference");
    holds(&json, "reference");
    let (before, after) = people(&json, "beijing");
    assert!(before == 1500 && after > 0 && after < before, "{before} -> {after}");
    for region in ["singapore", "oregon", "mumbai", "sao-paulo"] {
        let (before, after) = people(&json, region);
        assert!(before == 0 && after > 0, "{region}: {before} -> {after}");
    }
}

#[test]
fn the_mirror_case_holds() {
    let json = demo("mirror");
    holds(&json, "mirror");
    let (before, after) = people(&json, "guizhou");
    assert!(before == 0 && after > 0, "{before} -> {after}");
}
