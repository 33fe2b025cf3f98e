//! The service against its own description, by schemathesis: requests that fit it and requests that do not.

use crate::stage::{Stage, TOKEN};
use domicile_testbed::schemathesis;
use serde_json::json;
use tokio::process::Command;

/// Made-up requests of each operation; enough to meet every status, few enough for every run of the tests.
const EXAMPLES: &str = "40";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_what_is_answered() {
    let program = schemathesis::program().expect("schemathesis is missing: `cargo xtask tools` installs it");
    let stage = Stage::start().await;
    // What the description's examples name.
    for subject in ["4711", "4712"] {
        stage.post("/v1/services/shop/homes", json!({ "subject": subject, "country": "IN" })).await;
    }
    let ran = Command::new(program)
        .args(["run", &format!("{}/openapi.json", stage.url)])
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--phases", "examples,coverage,fuzzing"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--request-timeout", "70", "--no-color"])
        .args(["--checks", "all", "--continue-on-failure"])
        .current_dir(stage.folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .expect("schemathesis runs");
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}");
}
