use super::*;

const HEAD: &str =
    "map = \"datamap.toml\"\npolicies = [\"policies/*.cedar\"]\n\n[control]\nstore = \"sqlite:control.db\"\n";
const TWO: &str = "[[region]]\nid = \"beijing\"\ncountry = \"CN\"\nrecords = \"sqlite:b.db\"\n\n\
                   [[region]]\nid = \"oregon\"\ncountry = \"usa\"\noperator = \"CN\"\nopens = 2014-10-01\nrecords = \"sqlite:o.db\"\n";

fn read(text: &str) -> Result<Config> {
    Config::parse(text, Path::new("etc/domicile.toml"))
}

fn wrong(tail: &str) -> (String, String) {
    let failure = read(&format!("{HEAD}{tail}")).expect_err(tail);
    assert_eq!((failure.exit as u8, failure.state.as_str()), (2, failure::NOTHING_CHANGED));
    (failure.code.to_owned(), failure.what)
}

#[test]
fn one_service_needs_no_extra_word() {
    let config = read(&format!("{HEAD}{TWO}")).unwrap();
    assert_eq!(config.keys, Path::new("etc/keys"));
    assert_eq!(config.receipts, Path::new("etc/receipts"));
    let service = config.service(None).unwrap();
    assert_eq!((service.name.as_str(), service.guard), ("main", Guard::Always));
    assert_eq!(service.map, Path::new("etc/datamap.toml"));
    assert_eq!(service.regions, ["beijing", "oregon"]);
    let oregon = config.region("oregon").unwrap();
    assert_eq!((oregon.place.country.alpha2(), oregon.place.operator.alpha2()), ("US", "CN"));
    assert_eq!(oregon.place.opens.unwrap().to_string(), "2014-10-01");
    assert_eq!(oregon.place.site, "oregon");
}

#[test]
fn several_services_are_named() {
    let services = "[[service]]\nname = \"shop\"\nmap = \"m\"\npolicies = [\"p\"]\nregions = [\"beijing\"]\n\
                    [[service]]\nname = \"cloud\"\nmap = \"m\"\npolicies = [\"p\"]\nguard = \"wave\"\n\
                    mechanisms = [{ name = \"scc\", expires = 2025-12-31 }]\n";
    let head = HEAD.split_once("\n\n").unwrap().1;
    let two = TWO.replace("b.db", "{service}-b.db").replace("o.db", "{service}-o.db");
    let config = read(&format!("{head}{two}{services}")).unwrap();
    assert_eq!(config.service(None).unwrap_err().code, "service-which");
    assert_eq!(config.service(Some("clod")).unwrap_err().fix, "--service cloud");
    let cloud = config.service(Some("cloud")).unwrap();
    assert_eq!(cloud.mechanisms[0].expires.unwrap().to_string(), "2025-12-31");
    assert_eq!(config.regions_of(config.service(Some("shop")).unwrap()).count(), 1);
    let other = config.chosen(config.service(Some("shop")).unwrap(), Some("oregon")).unwrap_err();
    assert!(other.fix.starts_with("--service cloud"), "it is there, for another service: {}", other.fix);
    assert!(other.fix.contains("add \"oregon\" to the `regions` of service `shop`"), "{}", other.fix);
    let nowhere = config.chosen(config.service(Some("shop")).unwrap(), Some("mars")).unwrap_err();
    assert!(nowhere.fix.contains("add a [[region]]"), "{}", nowhere.fix);
    let shared = read(&format!("{head}{TWO}{services}")).unwrap_err();
    assert!(shared.what.contains("services `shop` and `cloud` have the same store"), "{}", shared.what);
}

/// A gateway that would serve nobody, or panic at the first connection, does not start.
#[test]
fn bounds_of_a_gateway_are_bounds() {
    let of = |limit: &str| {
        let gateway = "[gateway]\nlisten = [\"127.0.0.1:1\"]\nsubject = [\"header:X-Subject\"]\n";
        read(&format!("{HEAD}{TWO}{gateway}[gateway.limits]\n{limit}\n"))
    };
    for bad in
        ["connections = 0", "released = 0", "lease_ms = 0", "answer_ms = 0", "idle_ms = 0", "head_ms = 0"]
    {
        let failure = of(bad).expect_err(bad);
        assert_eq!((failure.code, failure.exit as u8), ("config-limit", 2));
        assert!(failure.what.contains(bad) && failure.why.contains("nobody"), "{}", failure.what);
    }
    for name in ["connections", "released", "parked", "repeat_bytes", "lease_ms", "park_ms"] {
        assert_eq!(of(&format!("{name} = 9000000000000000000")).expect_err(name).code, "config-limit");
    }
    let limits = of("parked = 0\nlease_ms = 900\nconnections = 7").unwrap().gateway.unwrap();
    assert_eq!(
        (limits.limits.parked, limits.limits.lease.as_millis(), limits.connections.connections),
        (0, 900, 7)
    );
}

#[test]
fn limits_override_by_name() {
    let config =
        read(&format!("{HEAD}{TWO}[limits]\nbatch_subjects = 7\ngrace = \"0s\"\nfence_deadline_ms = 900\n"))
            .unwrap();
    assert_eq!(config.limits.batch_subjects, 7);
    assert!(config.limits.grace.is_zero());
    assert_eq!(config.limits.fence_deadline.as_millis(), 900);
    assert_eq!(config.limits.fence_subjects, Limits::default().fence_subjects);
}

#[test]
fn ceilings_have_their_units_and_need_servers() {
    let keys = "[limits]\nbytes_per_s = 5000\nreplication_lag_ms = 2000\nactive_sessions = 40\n";
    let servers =
        TWO.replace("sqlite:b.db", "postgres://m@b/shop").replace("sqlite:o.db", "postgres://m@o/shop");
    let limits = read(&format!("{HEAD}{servers}{keys}")).unwrap().limits;
    assert_eq!((limits.bytes_per_s, limits.active_sessions), (Some(5_000), Some(40)));
    assert_eq!(
        (limits.replication_lag, limits.replication_lag_bytes),
        (Some(std::time::Duration::from_secs(2)), None)
    );
    let (code, what) = wrong(&format!("{TWO}{keys}"));
    assert_eq!(code, "config-limit");
    assert!(
        what.contains("replication_lag_ms can't be kept: region `beijing` is in a SQLite file"),
        "{what}"
    );
    assert!(read(&format!("{HEAD}{TWO}[limits]\nbytes_per_s = 5000\n")).is_ok());
    assert_eq!(wrong(&format!("{servers}[limits]\nactive_sessions = 0\n")).0, "config-limit");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (tail, code, says) in [
        ("[regoin]\n", "config-unknown-key", "etc/domicile.toml:6: unknown key `regoin`"),
        ("kees = \"x\"\n", "config-unknown-key", "etc/domicile.toml:6: unknown key `kees`"),
        ("x = = 1\n", "config-syntax", "etc/domicile.toml:6:"),
        ("", "config-no-region", "no region"),
        ("[[region]]\nid = \"a\"\nrecords = \"sqlite:a\"\n", "config-missing-key", "`country` is missing"),
        (
            "[[region]]\nid = \"a\"\ncountry = \"Inda\"\nrecords = \"sqlite:a\"\n",
            "config-country",
            "did you mean `IN` (India)?",
        ),
        ("[[region]]\nid = \"a b\"\ncountry = \"IN\"\nrecords = \"sqlite:a\"\n", "config-name", "`a b`"),
        (
            "[[region]]\nid = \"a\"\ncountry = \"IN\"\nrecords = \"mysql://h/d\"\n",
            "config-url",
            "begins with `mysql`",
        ),
        (
            "[[region]]\nid = \"a\"\ncountry = \"IN\"\nrecords = \"postgres://u:hunter2@h/d\"\n",
            "config-password",
            "etc/domicile.toml:9: a password",
        ),
        (
            "[[region]]\nid = \"a\"\ncountry = \"IN\"\nopens = \"soon\"\nrecords = \"sqlite:a\"\n",
            "config-date",
            "`soon`",
        ),
        (
            "[[region]]\nid = \"a\"\ncountry = \"IN\"\nrecords = \"sqlite:a\"\n[[region]]\nid = \"a\"\ncountry = \"US\"\nrecords = \"sqlite:b\"\n",
            "config-region-twice",
            "etc/domicile.toml:11: region `a` stands there twice",
        ),
        (
            "[[region]]\nid = \"a\"\ncountry = \"IN\"\nrecords = \"sqlite:a\"\n[[region]]\nid = \"b\"\ncountry = \"US\"\nrecords = \"sqlite:./a\"\n",
            "config-same-store",
            "regions `a` and `b` have the same store",
        ),
        ("[limits]\nbatch_subjects = 0\n", "config-limit", "batch_subjects = 0"),
        ("[limits]\ngrace = \"long\"\n", "config-limit", "`long`"),
        ("[limits]\nbatch_subjcts = 1\n", "config-unknown-key", "batch_subjcts"),
        ("[[service]]\nname = \"s\"\nmap = \"m\"\npolicies = [\"p\"]\n", "config-no-region", "no region"),
    ] {
        let (found, what) = wrong(tail);
        let says = says.replace("`long`", "\"long\"");
        assert_eq!(found, code, "{tail}: {what}");
        assert!(what.contains(&says), "{tail}: {what}");
        assert!(!what.contains("hunter2"));
    }
    let (code, what) = wrong(&format!("{TWO}[[service]]\nname = \"s\"\nmap = \"m\"\npolicies = [\"p\"]\n"));
    assert_eq!(code, "config-service-key", "{what}");
}

#[test]
fn a_service_names_regions_that_exist() {
    let head = HEAD.split_once("\n\n").unwrap().1;
    let service = "[[service]]\nname = \"s\"\nmap = \"m\"\npolicies = [\"p\"]\nregions = [\"beijin\"]\n";
    let failure = read(&format!("{head}{TWO}{service}")).unwrap_err();
    assert_eq!((failure.code, failure.fix.as_str()), ("config-region-unknown", "did you mean \"beijing\"?"));
}

const RELAYS: &str = "[messaging]\nservice = \"main\"\nnotice = { url = \"https://m.example/n\", file = \"n.txt\" }\n\
    controller = { name = \"M\", contact = \"m@m.example\" }\n\
    sms = { file = \"sms.jsonl\" }\nrelay_token_file = \"keys/relay.token\"\n";
const RELAY: &str = "[[messaging.relay]]\nregion = \"beijing\"\nlisten = [\"127.0.0.1:0\"]\nendpoint = \"http://127.0.0.1:1\"\n\
    discovery_keys = [{ generation = 2, key_file = \"b2\" }, { generation = 1, key_file = \"b1\", until = 2026-12-31 }]\n\
    service_key_file = \"s\"\nsealing_public_key_file = \"p\"\n";

#[test]
fn a_relay_is_told_its_keys_and_its_role() {
    let config = read(&format!("{HEAD}{TWO}{RELAYS}{RELAY}")).unwrap();
    let messaging = config.messaging.unwrap();
    let relay = messaging.relay("beijing").unwrap();
    assert_eq!(relay.generations.iter().map(|g| g.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(relay.records.text(), "sqlite:b.db");
    assert_eq!(messaging.sms, SmsTo::File("etc/sms.jsonl".into()));
    for (from, to, says) in [
        ("\"main\"", "\"mian\"", "service `mian`, which is not there"),
        ("region = \"beijing\"", "region = \"peking\"", "region `peking`, which service `main` has not"),
        ("http://127.0.0.1:1", "http://relay.example", "not where a relay can be reached"),
        (", until = 2026-12-31", "", "generation 1 is not the last one and has no `until`"),
        ("\"b2\"", "\"b2\", until = 2027-01-01", "generation 2 is the last one and ends"),
        ("generation = 2", "generation = 1", "each with a number of its own"),
        ("{ file = \"sms.jsonl\" }", "{}", "either a file or a service"),
    ] {
        let (code, what) = wrong(&format!("{TWO}{RELAYS}{RELAY}").replacen(from, to, 1));
        assert!(code == "config-messaging" && what.contains(says), "{what}");
    }
    assert_eq!(wrong(&format!("{TWO}{RELAYS}nubmer = 1\n{RELAY}")).0, "config-unknown-key");
    assert!(wrong(&format!("{TWO}{RELAYS}")).1.contains("has no [[messaging.relay]]"));
    // A relay that answers nobody.
    assert_eq!(wrong(&format!("{TWO}{RELAYS}{RELAY}[messaging.limits]\nrequests = 0\n")).0, "config-syntax");
    assert!(wrong(&format!("{TWO}{RELAYS}{RELAY}{RELAY}")).1.contains("two relays"));
}

#[test]
fn each_region_and_generation_has_a_key_of_its_own() {
    let other = RELAY.replace("\"beijing\"", "\"oregon\"");
    let own = other.replace("\"b1\"", "\"o1\"").replace("\"b2\"", "\"o2\"").replace("\"s\"", "\"os\"");
    assert!(read(&format!("{HEAD}{TWO}{RELAYS}{RELAY}{own}")).is_ok());
    for shared in [own.replace("\"o1\"", "\"b2\""), own.replace("\"os\"", "\"s\"")] {
        let (code, what) = wrong(&format!("{TWO}{RELAYS}{RELAY}{shared}"));
        assert!(code == "config-messaging" && what.contains("`beijing` and `oregon` have one key"), "{what}");
    }
    let (_, what) = wrong(&format!("{TWO}{RELAYS}{}", RELAY.replace("\"b1\"", "\"b2\"")));
    assert!(what.contains("one key file twice"), "{what}");
}

#[test]
fn a_relay_is_not_the_role_that_moves() {
    let two = TWO.replace("sqlite:b.db", "postgres://mover@db/m");
    assert!(wrong(&format!("{two}{RELAYS}{RELAY}")).1.contains("has no `records`"));
    let relay = |role: &str| {
        RELAY.replacen("endpoint", &format!("records = \"postgres://{role}@db/m\"\nendpoint"), 1)
    };
    assert!(wrong(&format!("{two}{RELAYS}{}", relay("mover"))).1.contains("the role that moves"));
    let config = read(&format!("{HEAD}{two}{RELAYS}{}", relay("domicile_relay"))).unwrap();
    assert_eq!(config.messaging.unwrap().relays[0].records.role(), Some("domicile_relay"));
}
