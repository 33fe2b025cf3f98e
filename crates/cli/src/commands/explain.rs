//! `policy explain`: where somebody may live, and by which rule.

use crate::app::App;
use crate::args::ExplainArgs;
use crate::config::{Config, Region, Service};
use crate::failure::{self, Failure, Result};
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_mover::Rules;
use domicile_policy::{Circumstances, Class, Country, Effect, Explained, Outcome, Placement, Rule, Verdict};
use domicile_stores::records::SubjectId;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Whom the explanation is about.
struct About {
    who: String,
    class: Class,
    home: Option<String>,
    categories: Vec<String>,
}

/// Explains a subject's, or a resident's, placement.
pub async fn run(app: &App, args: ExplainArgs) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    let rules = open::rules(&config, service, open::today())?;
    let (subject, region) = split(&args)?;
    let chosen: Vec<&Region> = config.chosen(service, region)?;
    let about = match (&args.country, subject) {
        (Some(country), _) => resident(country, &args, service)?,
        (None, Some(subject)) => of_subject(&config, service, subject).await?,
        (None, None) => {
            let why = "decisions depend on where somebody lives";
            let fix = "domicile policy explain 4711\ndomicile policy explain --country IN";
            return Err(Failure::usage("usage", "explain whom?", why, fix));
        }
    };
    Ok(explained(&config, service, &rules, &about, &chosen, region.is_some()))
}

/// SUBJECT [REGION]; with `--country` only [REGION].
fn split(args: &ExplainArgs) -> Result<(Option<&str>, Option<&str>)> {
    match (args.country.is_some(), args.about.as_deref(), args.region.as_deref()) {
        (true, region, None) => Ok((None, region)),
        (false, subject, region) => Ok((subject, region)),
        (true, _, Some(_)) => Err(Failure::usage(
            "usage",
            "a subject and --country don't go together",
            "either a subject is explained or a resident of a country",
            "domicile policy explain --country IN REGION",
        )),
    }
}

fn resident(country: &str, args: &ExplainArgs, service: &Service) -> Result<About> {
    let country: Country = country.parse().map_err(|wrong: domicile_policy::WrongCountry| {
        Failure::usage("config-country", wrong.to_string(), "policies decide by country", "--country IN")
    })?;
    let map = failure::read_map(&service.map)?;
    let mut words = vec![format!("a resident of {}", country.name())];
    words.extend(args.flag.iter().map(|f| format!("`{f}`")));
    words.extend(args.consent.iter().map(|purpose| format!("consent to `{purpose}`")));
    Ok(About {
        who: words.join(", "),
        class: Class {
            flags: args.flag.iter().cloned().collect(),
            consents: args.consent.iter().cloned().collect(),
            ..Class::resident(country)
        },
        home: None,
        categories: categories(&map),
    })
}

/// Every category of the service's data that belongs to subjects.
pub fn categories(map: &domicile_datamap::DataMap) -> Vec<String> {
    let mut categories: BTreeSet<String> = map
        .tables
        .values()
        .filter(|rule| {
            !matches!(
                rule.kind,
                domicile_datamap::map::Kind::Excluded { .. } | domicile_datamap::map::Kind::Reference { .. }
            )
        })
        .map(|rule| rule.category.clone())
        .collect();
    categories.insert(map.subject.category.clone());
    categories.extend(map.objects.iter().map(|o| o.category.clone()));
    categories.into_iter().collect()
}

async fn of_subject(config: &Config, service: &Service, subject: &str) -> Result<About> {
    let mapped = open::mapped(config, service, &Want::reachable()).await?;
    let directory = open::directory(config).await?;
    let subject = SubjectId(subject.to_owned());
    let home = directory.home(&service.name, &subject).await.map_err(|e| failure::of_directory(&e))?;
    let mut facts = None;
    for region in mapped.prepared() {
        let is_home = home.as_ref().is_some_and(|h| h.region == region.id());
        if facts.is_some() && !is_home {
            continue;
        }
        let records = mapped.records(region).await?;
        let found = records.facts(std::slice::from_ref(&subject)).await;
        let found = found.map_err(|e| failure::of_store(&format!("region {}", region.id()), &e))?.pop();
        facts = found.or(facts);
    }
    // What another region has of the subject may be yesterday's.
    let silent =
        |id: &str| mapped.down.iter().find(|(r, _)| r.id() == id).map(|(_, failure)| failure.clone());
    let at_home = home.as_ref().and_then(|h| silent(&h.region));
    let none_read = mapped.down.first().map(|(_, failure)| failure.clone()).filter(|_| facts.is_none());
    if let Some(failure) = at_home.or(none_read) {
        let fix = format!("{}\nor: domicile policy explain --country CC", failure.fix);
        return Err(failure.fix(fix));
    }
    let Some(facts) = facts else {
        return Err(Failure::new(
            "subject-unknown",
            "no region has a row of that subject",
            "a subject is named by its key in the root table",
            "domicile locate KEY",
        )
        .exit(Exit::No));
    };
    Ok(About {
        who: "the subject".to_owned(),
        class: domicile_mover::plan::class_of(&facts),
        home: home.map(|h| h.region),
        categories: mapped.layout.categories(),
    })
}

fn explained(
    config: &Config,
    service: &Service,
    rules: &Rules,
    about: &About,
    chosen: &[&Region],
    detailed: bool,
) -> Answer {
    let places: Vec<domicile_policy::Region> = config.regions_of(service).map(|r| r.place.clone()).collect();
    let from = about.home.as_ref().and_then(|id| places.iter().find(|r| r.id == *id));
    let placement = rules.policies.place(
        &about.class,
        from,
        &Circumstances {
            categories: &about.categories,
            regions: &places,
            latency: &rules.latency,
            today: open::today(),
            mechanisms: &rules.mechanisms,
            for_latency: false,
        },
    );
    let wanted: Vec<domicile_policy::Region> = chosen.iter().map(|r| r.place.clone()).collect();
    let lines = rules.policies.explain(&about.class, from, &wanted, &about.categories, &rules.mechanisms);
    let mut text = head(about, &placement);
    for verdict in placement.verdicts.iter().filter(|v| chosen.iter().any(|r| r.id() == v.region)) {
        text.push_str(&verdict_text(verdict));
        if detailed {
            text.push_str(&actions_text(&lines));
        }
    }
    if !detailed {
        text.push_str("\nfor each action and category: add a region\n");
    }
    let json =
        json!({ "class": about.class, "home": about.home, "placement": placement, "decisions": lines });
    Answer::new(text, json).no_if(placement.home.is_none())
}

fn head(about: &About, placement: &Placement) -> String {
    let residence =
        about.class.residence.map_or("no known country".to_owned(), |c| format!("{} ({c})", c.name()));
    let mut text =
        format!("{}\n", paper::wrapped("who     ", &format!("{}: lives in {residence}", about.who)));
    if !about.class.flags.is_empty() {
        let flags: Vec<&str> = about.class.flags.iter().map(String::as_str).collect();
        text.push_str(&format!("flags   {}\n", flags.join(", ")));
    }
    if !about.class.consents.is_empty() {
        let consents: Vec<&str> = about.class.consents.iter().map(String::as_str).collect();
        text.push_str(&format!("agreed  {}\n", consents.join(", ")));
    }
    text.push_str(&format!("home    {}\n", about.home.as_deref().unwrap_or("none yet")));
    text.push_str(&format!("{}\n", paper::wrapped("answer  ", &placement.why)));
    text
}

fn verdict_text(verdict: &Verdict) -> String {
    let (word, rules): (String, &[Rule]) = match &verdict.outcome {
        Outcome::Permitted { rtt_ms, quality, rules } => {
            let rtt =
                rtt_ms.map(|ms| format!(", {ms} ms{}", quality.map(|q| format!(" {q}")).unwrap_or_default()));
            (format!("permitted{}", rtt.unwrap_or_default()), rules)
        }
        Outcome::NotOpen { opens } => (format!("permitted, but opens on {opens}"), &[]),
        Outcome::Refused { action, category, rules } => (format!("refused: {action} of {category}"), rules),
    };
    let mut text = format!("\n{}  {word}\n", verdict.region);
    for rule in rules {
        text.push_str(&format!("{}\n", paper::wrapped("  ", &rule_words(rule))));
    }
    text
}

/// Where the rule stands, and what it says.
fn rule_words(rule: &Rule) -> String {
    let word = match rule.effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
        Effect::Builtin => return rule.text(),
    };
    format!("{word} {} ({}:{}): {}", rule.policy_id, rule.file, rule.line, rule.text())
}

/// Actions by what is decided, and who keeps it: what Domicile can't enforce is said here.
fn actions_text(lines: &[Explained]) -> String {
    let mut rows: BTreeMap<(usize, bool), (String, Vec<String>, String)> = BTreeMap::new();
    for line in lines {
        let order = domicile_policy::Action::ALL.iter().position(|a| *a == line.action).unwrap_or(0);
        let kept = line.enforced_by.unwrap_or("nobody in Domicile: decided here, kept by you");
        let entry = rows
            .entry((order, line.decision.allowed))
            .or_insert_with(|| (line.action.to_string(), Vec::new(), kept.to_owned()));
        entry.1.push(line.category.clone());
    }
    let rows = rows.into_iter().map(|((_, allowed), (action, categories, kept))| {
        vec![action, if allowed { "yes" } else { "no" }.to_owned(), categories.join(", "), kept]
    });
    format!(
        "{}\n",
        paper::indented(
            "  ",
            &paper::table(&["action", "may", "categories", "kept by"], &[], rows.collect())
        )
    )
}
