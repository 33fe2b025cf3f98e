//! What holds for any policies, subjects and regions.

use crate::world::{NO_MECHANISMS, country, on, parse, region};
use domicile_policy::{Action, Class, Context, Latency, Outcome, Policies, Region};
use jiff::civil::date;
use proptest::prelude::*;
use std::fmt::Write;

const CODES: [&str; 4] = ["CN", "IN", "US", "SG"];
const FLAGS: [&str; 2] = ["air-force", "vip"];

/// One random policy: permit or forbid, and what it asks for.
#[derive(Debug, Clone)]
struct Written {
    forbid: bool,
    action: Option<usize>,
    residence: Option<usize>,
    at: Option<usize>,
    flag: Option<usize>,
    category: bool,
}

fn written() -> impl Strategy<Value = Written> {
    let maybe = |n: usize| proptest::option::of(0..n);
    (any::<bool>(), maybe(8), maybe(4), maybe(4), maybe(2), any::<bool>()).prop_map(
        |(forbid, action, residence, at, flag, category)| Written {
            forbid,
            action,
            residence,
            at,
            flag,
            category,
        },
    )
}

fn policies(all: &[Written]) -> Policies {
    let mut text = String::new();
    for (n, w) in all.iter().enumerate() {
        let effect = if w.forbid { "forbid" } else { "permit" };
        let action = w.action.map(|a| format!("action == Action::\"{}\"", Action::ALL[a]));
        let mut when = vec!["true".to_owned()];
        when.extend(w.residence.map(|c| format!("principal.residence == \"{}\"", CODES[c])));
        when.extend(w.at.map(|c| format!("resource.country == \"{}\"", CODES[c])));
        when.extend(w.flag.map(|f| format!("principal in Flag::\"{}\"", FLAGS[f])));
        when.extend(w.category.then(|| "context.category == \"messages\"".to_owned()));
        writeln!(
            text,
            "@law(\"L{n}\") @reason(\"R{n}\") {effect} (principal, {}, resource) when {{ {} }};",
            action.as_deref().unwrap_or("action"),
            when.join(" && ")
        )
        .unwrap();
    }
    parse(&text)
}

/// The same question answered without Cedar.
fn matches(w: &Written, class: &Class, action: Action, region: &Region, category: &str) -> bool {
    w.action.is_none_or(|a| Action::ALL[a] == action)
        && w.residence.is_none_or(|c| class.residence == Some(country(CODES[c])))
        && w.at.is_none_or(|c| region.country == country(CODES[c]))
        && w.flag.is_none_or(|f| class.flags.contains(FLAGS[f]))
        && (!w.category || category == "messages")
}

fn classes() -> impl Strategy<Value = Class> {
    let flags = proptest::sample::subsequence(FLAGS.to_vec(), 0..=2);
    (proptest::option::of(0..4usize), flags).prop_map(|(residence, flags)| Class {
        residence: residence.map(|c| country(CODES[c])),
        flags: flags.into_iter().map(str::to_owned).collect(),
        ..Class::default()
    })
}

fn regions() -> Vec<Region> {
    CODES.iter().map(|code| region(&format!("r-{code}"), code, "CN", code, None)).collect()
}

fn latency(rtts: &[Option<u16>]) -> Latency {
    let mut text = "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source\n".to_owned();
    for (n, rtt) in rtts.iter().enumerate() {
        if let Some(ms) = rtt {
            writeln!(text, "user-{},{},1,{ms},0,user-dc,M,S", CODES[n / 4], CODES[n % 4]).unwrap();
        }
    }
    Latency::parse_csv(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn forbid_beats_permit_and_unknown_residence_is_denied(
        all in proptest::collection::vec(written(), 0..6),
        class in classes(),
        action in 0..8usize,
        messages in any::<bool>(),
    ) {
        let (policies, action) = (policies(&all), Action::ALL[action]);
        let category = if messages { "messages" } else { "profile" };
        for region in regions() {
            let context = Context { category, source: None, mechanisms: &NO_MECHANISMS };
            let decision = policies.decide(&class, action, &region, &context);
            let hit = |forbid| all.iter().any(|w| w.forbid == forbid && matches(w, &class, action, &region, category));
            prop_assert_eq!(decision.allowed, class.residence.is_some() && hit(false) && !hit(true));
            prop_assert!(!decision.rules.is_empty());
            // Asked again, and asked by a class that differs only in what no policy mentions: the same.
            let mut other = class.clone();
            other.consents.insert("newsletter".into());
            prop_assert_eq!(&policies.decide(&other, action, &region, &context), &decision);
        }
    }

    #[test]
    fn a_home_is_permitted_and_the_nearest(
        all in proptest::collection::vec(written(), 0..6),
        class in classes(),
        from in proptest::option::of(0..4usize),
        rtts in proptest::collection::vec(proptest::option::of(1..4u16), 16),
        for_latency in any::<bool>(),
    ) {
        let (policies, regions, latency) = (policies(&all), regions(), latency(&rtts));
        let categories = ["messages".to_owned(), "profile".to_owned()];
        let mut c = on(date(2014, 11, 1), &categories, &regions, &latency);
        c.for_latency = for_latency;
        let from = from.map(|n| &regions[n]);
        let placed = policies.place(&class, from, &c);
        let Some(home) = placed.home.clone() else {
            let refused = placed.verdicts.iter().all(|v| matches!(v.outcome, Outcome::Refused { .. }));
            prop_assert!(refused);
            return Ok(());
        };
        let home = regions.iter().find(|r| r.id == home).unwrap();
        for category in &categories {
            let ask = |action, source| {
                let context = Context { category, source, mechanisms: &NO_MECHANISMS };
                policies.decide(&class, action, home, &context).allowed
            };
            prop_assert!(ask(Action::Store, None));
            prop_assert!(from.is_none_or(|f| f.id == home.id) || ask(Action::Transfer, from));
        }
        let rank = |rtt: Option<f64>, id: &str| (rtt.is_none(), rtt.unwrap_or(0.0) as u64, id.to_owned());
        let best = placed.verdicts.iter().filter_map(|v| match &v.outcome {
            Outcome::Permitted { rtt_ms, .. } => Some(rank(*rtt_ms, &v.region)),
            _ => None,
        }).min().unwrap();
        let stays = from.is_some_and(|f| f.id == home.id);
        if !stays {
            prop_assert_eq!(&best.2, &home.id, "{}", placed.why);
            prop_assert!(from.is_none() || placed.must_leave || for_latency);
        }
        prop_assert!(!(stays && placed.must_leave));
    }
}
