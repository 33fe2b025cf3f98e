//! SARIF against its schema, by the validator that comes with schemathesis (`cargo xtask tools`).

use crate::reports::sample;
use domicile_audit::report::{self, Asked};
use domicile_audit::{Controls, Gap, Report};
use domicile_testbed::schemathesis;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Prints what is wrong with each log of a list, as a list of lists. The schema's pattern of a language is no regular expression
/// (an unescaped bracket), and this validator says so; it is of draft 4, which has no references to URIs yet, and uses nothing
/// that draft 7 reads in another way.
const VALIDATE: &str = "
import json, jsonschema_rs, sys
schema, logs = (json.loads(open(path).read().replace('{2}]?$', '{2}$')) for path in sys.argv[1:])
schema['$schema'] = 'http://json-schema.org/draft-07/schema#'
validator = jsonschema_rs.Draft7Validator(schema, validate_formats=True)
print(json.dumps([[f'{list(e.instance_path)}: {e.message}'[:300] for e in validator.iter_errors(log)] for log in logs]))
";

/// What is wrong with each of them.
fn wrong(logs: &[Value]) -> Vec<Vec<String>> {
    let python = schemathesis::folder().join("bin/python");
    assert!(python.is_file(), "schemathesis is missing: `cargo xtask tools` installs it");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logs.json");
    std::fs::write(&path, serde_json::to_vec(logs).expect("JSON")).expect("a file");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/sarif-2.1.0-rtm.5.json");
    let ran = Command::new(python).args(["-c", VALIDATE]).args([&schema, &path]).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("a list of lists")
}

#[test]
fn every_report_fits_the_schema() {
    let (found, asked) = sample();
    let empty = Report::default();
    let mut missed = found.clone();
    missed.controls = Controls { planted: 2, missed: vec!["gzip of an IMSI".into()] };
    let mut accepted = found.clone();
    accepted.accepted.insert(Gap::Encrypted);
    let logs: Vec<Value> = [&found, &missed, &accepted].map(|report| report::sarif(report, &asked)).into();
    let bare = report::sarif(&empty, &Asked::default());
    // Each breaks one rule of the schema: the validator is at work.
    let mut broken = vec![json!({}), bare.clone(), logs[0].clone(), logs[0].clone(), logs[0].clone()];
    broken[1]["version"] = json!("2.0.0");
    broken[2]["runs"][0]["results"][0]["level"] = json!("fatal");
    broken[3]["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] =
        json!("a b");
    broken[4]["runs"][0]["invocations"][0]["executionSuccessful"] = Value::Null;
    let good = logs.len() + 1;
    let all = [logs, vec![bare], broken].concat();
    let wrong = wrong(&all);
    assert_eq!(wrong.len(), all.len());
    for (n, wrong) in wrong.iter().enumerate() {
        assert_eq!(wrong.is_empty(), n < good, "log {n}: {wrong:?}");
    }
}
