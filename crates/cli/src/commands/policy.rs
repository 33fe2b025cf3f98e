//! `policy check` and `policy explain`.

use crate::app::App;
use crate::args::PolicyCommand;
use crate::commands::explain;
use crate::config::{Config, Service};
use crate::failure::Result;
use crate::figures::counted;
use crate::open;
use crate::paper;
use crate::screen::Answer;
use domicile_policy::Policies;
use serde_json::json;

/// Runs a policy command.
pub async fn run(app: &App, command: PolicyCommand) -> Result<Answer> {
    match command {
        PolicyCommand::Check { schema } => {
            let config = app.config()?;
            let service = app.service(&config)?;
            // Latency decides among what policies permit: read here, so that its faults are found here.
            let policies = open::rules(&config, service, open::today())?.policies;
            if schema {
                return Ok(Answer::new(policies.schema_text(), json!({ "schema": policies.schema_text() })));
            }
            Ok(check(&config, service, &policies))
        }
        PolicyCommand::Explain(args) => explain::run(app, args).await,
    }
}

fn check(config: &Config, service: &Service, policies: &Policies) -> Answer {
    let mentioned = policies.mentioned();
    let known: Vec<&str> = config.regions_of(service).map(|r| r.id()).collect();
    let strangers: Vec<&String> =
        mentioned.regions.iter().filter(|id| !known.contains(&id.as_str())).collect();
    let mut text = format!("{} of service `{}`\n", counted(policies.len() as u64, "rule"), service.name);
    let list = |label: &str, names: &std::collections::BTreeSet<String>| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if names.is_empty() {
            String::new()
        } else {
            format!("{}\n", paper::wrapped(&format!("  {label}"), &names.join(", ")))
        }
    };
    text.push_str(&list("attributes  ", &mentioned.attributes));
    text.push_str(&list("flags       ", &mentioned.flags));
    text.push_str(&list("consents    ", &mentioned.consents));
    text.push_str(&list("regions     ", &mentioned.regions));
    text.push_str(&format!("  hash        {}\n", policies.hash()));
    for id in &strangers {
        let said = format!(
            "region `{id}` is named by a policy, and service `{}` has none of that name",
            service.name
        );
        text.push_str(&format!("\n{}\n", paper::wrapped("no: ", &said)));
    }
    for warning in policies.warnings() {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    if policies.is_empty() {
        text.push_str("\nno: without a policy nothing may be stored anywhere\n");
    }
    let wrong = !strangers.is_empty() || policies.is_empty();
    let json = json!({
        "service": service.name, "rules": policies.len(), "hash": policies.hash(), "mentioned": mentioned,
        "unknown_regions": strangers, "warnings": policies.warnings(),
    });
    Answer::new(text, json).no_if(wrong)
}
