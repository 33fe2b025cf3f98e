//! The service against its own description, by schemathesis: requests that fit it and requests that do not.

use crate::stage::{Stage, TOKEN};
use domicile_directory::{Claim, ClaimKind};
use domicile_stores::records::SubjectId;
use domicile_testbed::schemathesis;
use serde_json::json;
use tokio::process::Command;

/// Made-up requests of each operation; enough to meet every status, few enough for every run of the tests.
const EXAMPLES: &str = "40";

/// Services are not made over HTTP: a made-up name would meet nothing but `unknown-service`. 422 is what the schema can't
/// say: no country, no address, no region of that name.
const CONFIGURATION: &str = r#"
[parameters]
"path.service" = "shop"
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "401", "403", "404", "409", "422"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_what_is_answered() {
    let program = schemathesis::program().expect("schemathesis is missing: `cargo xtask tools` installs it");
    let stage = Stage::start().await;
    // What the description's examples name.
    for subject in ["4711", "4712"] {
        stage.post("/v1/services/shop/homes", json!({ "subject": subject, "country": "IN" })).await;
    }
    let ann =
        (SubjectId("4711".into()), Claim::new(ClaimKind::Email, "ann@example.com").expect("an address"));
    stage.directory.import_claims("shop", &[ann]).await.expect("a claim");
    std::fs::write(stage.folder.path().join("schemathesis.toml"), CONFIGURATION).expect("a configuration");
    let ran = Command::new(program)
        .args(["run", &format!("{}/openapi.json", stage.url)])
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--phases", "examples,coverage,fuzzing"])
        .args([
            "--header",
            &format!("Authorization: Bearer {TOKEN}"),
            "--request-timeout",
            "70",
            "--no-color",
        ])
        .args(["--checks", "all", "--continue-on-failure"])
        .current_dir(stage.folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .expect("schemathesis runs");
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && told.contains("Tested: 8"), "{told}");
}
