//! `audit`: it needs no configuration for what needs none, says where, and never shows what it looks for.

use crate::shop::{Ran, Shop};
use insta::assert_snapshot;
use serde_json::Value;

/// Customer 13's, and one that nobody has.
const MAIL: &str = "c13@example.org";
const PEOPLE: &str = "# who moved\nc13@example.org\nphone:+49 151 23456789\n";

fn shop() -> Shop {
    let shop = Shop::bare(1);
    shop.write("people.txt", PEOPLE);
    std::fs::create_dir(shop.path("logs")).expect("a folder");
    shop.write("logs/quiet.log", "GET / 200\n");
    shop
}

fn hides(ran: &Ran) {
    for identifier in [MAIL, "15123456789", "c13@"] {
        assert!(!ran.whole().contains(identifier), "{}", ran.whole());
    }
}

#[test]
fn it_teaches() {
    let shop = Shop::empty();
    assert_snapshot!("audit_help", shop.ok(&["audit", "--help"]).whole());
    assert_snapshot!("audit_residual_help", shop.ok(&["audit", "residual", "--help"]).whole());
}

#[test]
fn what_cannot_be_is_said_with_its_way_out() {
    let shop = shop();
    shop.write("short.txt", "c13@example.org\nabc\n");
    shop.write("empty.txt", "# nobody\n");
    shop.write("hosts.toml", "[[host]]\nis = \"10.0.0.0/40\"\ncountry = \"CN\"\n");
    for (name, args) in [
        ("audit_no_target", &["audit", "--identifiers", "people.txt"][..]),
        ("audit_no_identifiers", &["audit", "logs"]),
        ("audit_line", &["audit", "logs", "--identifiers", "short.txt"]),
        ("audit_empty", &["audit", "logs", "--identifiers", "empty.txt"]),
        ("audit_scheme", &["audit", "mysql://db/shop", "--identifiers", "people.txt"]),
        ("audit_path", &["audit", "lgos", "--identifiers", "people.txt"]),
        ("audit_sqlite", &["audit", "sqlite:none.db", "--identifiers", "people.txt"]),
        ("audit_password", &["audit", "postgres://a:hunter2@127.0.0.1/d", "--identifiers", "people.txt"]),
        ("audit_hosts", &["audit", "logs", "--identifiers", "people.txt", "--hosts", "hosts.toml"]),
        ("audit_country", &["audit", "logs", "--identifiers", "people.txt", "--country", "XX"]),
        ("audit_region", &["audit", "region:us", "--identifiers", "people.txt"]),
    ] {
        let ran = shop.run(args);
        hides(&ran);
        assert_eq!(ran.stdout, "", "{name}");
        assert_snapshot!(name, ran.whole());
    }
}

#[test]
fn a_database_and_its_file_without_any_configuration() {
    let shop = shop();
    let ran = shop.run(&["audit", "sqlite:shop.db", "logs", "--identifiers", "people.txt"]);
    assert_eq!(ran.code, 3, "{}", ran.whole());
    hides(&ran);
    for part in [
        "2 identifiers: 1 phone, 1 e-mail",
        "sqlite:shop.db > table customer > column email",
        "key 13, byte 0",
    ] {
        assert!(ran.stdout.contains(part), "{part}\n{}", ran.whole());
    }
    let clean = shop.run(&["audit", "logs", "--identifiers", "people.txt"]);
    assert_eq!(clean.code, 0, "{}", clean.whole());
    assert!(
        clean.stdout.contains("Nothing was found") && clean.stdout.contains("That says nothing of what was")
    );
}

#[test]
fn every_form_of_the_report() {
    let shop = shop();
    shop.write(&format!("logs/{MAIL}.log"), &format!("mail to {MAIL} sent\n"));
    let base = ["audit", "sqlite:shop.db", "logs", "--identifiers", "people.txt"];
    for more in [&["--json"][..], &["--format", "sarif"], &["--format", "html"], &["--format", "json"], &[]] {
        let ran = shop.run(&[&base[..], more].concat());
        assert_eq!(ran.code, 3, "{}", ran.whole());
        hides(&ran);
        if more != ["--format", "html"] && !more.is_empty() {
            let json: Value = serde_json::from_str(&ran.stdout).expect("JSON");
            assert!(json["audit_format"] == 1 || json["version"] == "2.1.0", "{}", ran.stdout);
        }
    }
    for (file, begins) in
        [("r.html", "<!doctype html>"), ("r.sarif", "{"), ("r.json", "{"), ("r.txt", "looked for")]
    {
        let ran = shop.run(&[&base[..], &["-o", file]].concat());
        assert_eq!(ran.code, 3, "{}", ran.whole());
        assert!(ran.stdout.contains(&format!("the report is in {file}")), "{}", ran.whole());
        let text = shop.read(file);
        assert!(text.starts_with(begins) && !text.contains(MAIL), "{file}: {text}");
    }
}

/// A file that is no database, or only a part of one, can still be searched: as bytes.
#[test]
fn a_file_that_is_no_database_is_searched_as_bytes() {
    let shop = shop();
    shop.write("dump.db", &format!("{}{MAIL}", "no database ".repeat(1_000)));
    let ran = shop.run(&["audit", "sqlite:dump.db", "--identifiers", "people.txt"]);
    assert_ne!(ran.code, 3, "what can't be read is no finding: {}", ran.whole());
    assert!(ran.stderr.contains("domicile audit dump.db --identifiers FILE"), "{}", ran.whole());
    let ran = shop.run(&["audit", "dump.db", "--identifiers", "people.txt"]);
    assert_eq!(ran.code, 3, "{}", ran.whole());
}

/// Identifiers on stdin reach no argument list.
#[test]
fn a_list_from_stdin() {
    let shop = shop();
    let mut command = shop.command(&["audit", "sqlite:shop.db", "--identifiers", "-", "--json"]);
    command.stdin(std::fs::File::open(shop.path("people.txt")).expect("the list"));
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["findings"][0]["where"], "sqlite:shop.db > table customer > column email > key 13");
}

#[test]
fn a_region_for_subjects_of_it() {
    let shop = Shop::ready(1);
    shop.write("subjects.txt", "13\n14\n");
    let args = ["audit", "region:us", "--subjects", "subjects.txt", "--from", "us"];
    assert_snapshot!("audit_no_columns", shop.run(&args).whole());
    let unknown = [&args[..], &["--columns", "email:main.customer.mail"]].concat();
    assert_snapshot!("audit_wrong_column", shop.run(&unknown).whole());
    let ran = shop.run(&[&args[..], &["--columns", "email:main.customer.email"]].concat());
    assert_eq!(ran.code, 3, "{}", ran.whole());
    assert!(
        ran.stdout.contains("2 identifiers: 2 e-mail") && ran.stdout.contains("key 14"),
        "{}",
        ran.whole()
    );
    shop.append(
        "domicile.toml",
        "\n[audit]\nidentifiers = [{ kind = \"email\", column = \"main.customer.email\" }]\n",
    );
    assert_eq!(shop.run(&args).code, 3);
    let elsewhere = shop.run(&["audit", "region:de", "--subjects", "subjects.txt", "--from", "us"]);
    assert_eq!(elsewhere.code, 0, "{}", elsewhere.whole());
}

/// A server's database as a role that may only read, and a bucket with old versions.
#[test]
fn a_server_and_a_bucket() {
    let cluster = domicile_testbed::postgres::Cluster::start();
    cluster.sql(
        "postgres",
        &format!("CREATE TABLE old_export (line text); INSERT INTO old_export VALUES ('x {MAIL}')"),
    );
    let weed = domicile_testbed::seaweed::Seaweed::start().expect("SeaweedFS");
    weed.create_bucket("photos");
    weed.put("photos", "people/13.txt", format!("mail: {MAIL}").as_bytes());
    weed.put("photos", "other/14.txt", b"nothing");
    let shop = shop();
    let bucket = format!("s3://photos/people?endpoint={}", weed.endpoint());
    let server = cluster.url("postgres", "postgres");
    let mut command = shop.command(&["audit", &server, &bucket, "--identifiers", "people.txt", "--json"]);
    command.env("AWS_ACCESS_KEY_ID", weed.access_key()).env("AWS_SECRET_ACCESS_KEY", weed.secret_key());
    let output = command.output().expect("the binary runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{stdout}{stderr}");
    assert!(!stdout.contains("c13@") && !stderr.contains("c13@"), "{stdout}{stderr}");
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    let places: Vec<&str> =
        json["findings"].as_array().expect("findings").iter().filter_map(|f| f["where"].as_str()).collect();
    assert!(places[0].contains("table public.old_export > column line > key ctid (0,1)"), "{places:?}");
    assert_eq!(places[1], "s3://photos/people/13.txt", "{places:?}");
    assert_eq!(places.len(), 2, "{places:?}");
    assert_eq!(json["controls"]["missed"], serde_json::json!([]));
    assert!(json["controls"]["planted"].as_u64().is_some_and(|n| n > 50), "{}", json["controls"]);
}

/// A target that is named and can't be read at all is no search that found nothing.
#[test]
fn what_is_named_is_read_or_refused() {
    let shop = shop();
    let pipe = shop.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    std::os::unix::fs::symlink("nowhere", shop.path("dangling")).expect("a link");
    for target in ["pipe", "dangling", "/dev/null"] {
        let ran = shop.run(&["audit", target, "--identifiers", "people.txt"]);
        assert_eq!(ran.code, 1, "{target}: {}", ran.whole());
        assert!(!ran.stdout.contains("Nothing was found"), "{target}: {}", ran.whole());
    }
}

/// Nobody's trace stands in these, and each hides something of its own sort.
const HIDING: [(&str, &[u8]); 3] = [
    ("cut.log.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd"),
    ("mail.age", b"age-encryption.org/v1\n-> X25519 abc\n"),
    ("old.bz2", b"BZh91AY&SY\x01\x02"),
];

/// From where it says what was not seen.
fn unseen(ran: &Ran) -> &str {
    &ran.stdout[ran.stdout.find("not seen").unwrap_or_else(|| panic!("{}", ran.whole()))..]
}

/// "Searched all, found nothing" is another exit code than "could not read all".
#[test]
fn what_was_not_read_is_no_success() {
    let shop = shop();
    shop.write("nobody.txt", "nobody.at.all@example.org\n");
    for (name, bytes) in HIDING {
        std::fs::write(shop.path(&format!("logs/{name}")), bytes).expect("a file");
    }
    std::os::unix::fs::symlink("/etc", shop.path("logs/way-out")).expect("a link");
    std::os::unix::fs::symlink("quiet.log", shop.path("logs/way-round")).expect("a link");
    std::fs::copy(shop.path("shop.db"), shop.path("logs/shop.db")).expect("a copy");
    let base = ["audit", "logs", "--identifiers", "nobody.txt"];
    let ran = shop.run(&base);
    assert_eq!(ran.code, 1, "{}", ran.whole());
    let lines = unseen(&ran);
    for (sort, name) in [
        ("damaged", "cut.log.gz"),
        ("encrypted", "mail.age"),
        ("unopened", "old.bz2"),
        ("link", "way-out"),
        ("known", "way-round"),
        ("raw", "shop.db"),
    ] {
        let line = |line: &str| line.starts_with(&format!("  {sort} ")) && line.contains(name);
        assert!(lines.lines().any(line), "{sort} {name}\n{}", ran.whole());
    }
    let counted =
        "not all of it was read: 1 damaged, 1 encrypted, 1 unopened, 1 link, 1 raw (each is listed)";
    // Its lines are at most 80 columns.
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        line(lines).contains(counted) && lines.contains("--accept damaged,encrypted,unopened,link,raw"),
        "{lines}"
    );
    let json: Value =
        serde_json::from_str(&shop.run(&[&base[..], &["--json"]].concat()).stdout).expect("JSON");
    assert_eq!((&json["verdict"], &json["gaps"]["link"]), (&Value::from("not-all-read"), &Value::from(1)));
    let some = shop.run(&[&base[..], &["--accept", "damaged,encrypted,unopened,link"]].concat());
    assert!(some.code == 1 && line(&some.stdout).contains("1 raw (each is listed)"), "{}", some.whole());
    let all = [&base[..], &["--accept", "damaged,encrypted,unopened,link", "--accept", "raw"]].concat();
    let accepted = shop.ok(&all);
    let known = unseen(&accepted).lines().filter(|line| line.starts_with("  known ")).count();
    assert!(known == 6 && accepted.stdout.contains("Nothing was found"), "{}", accepted.whole());
    // Rows searched as rows leave no gap in their own file; another file's are another's.
    let rows = ["sqlite:logs/shop.db", "--accept", "damaged,encrypted,unopened,link"];
    shop.ok(&[&base[..], &rows].concat());
    let others = ["sqlite:shop.db", "--accept", "damaged,encrypted,unopened,link"];
    assert_eq!(shop.run(&[&base[..], &others].concat()).code, 1);
    // A trace is a trace.
    shop.write("logs/loud.log", MAIL);
    assert_eq!(shop.run(&["audit", "logs", "--identifiers", "people.txt"]).code, 3);
    for word in ["known", "everything", ""] {
        let ran = shop.run(&[&base[..], &["--accept", word]].concat());
        assert!(ran.code == 2 && ran.stdout.is_empty(), "{word}: {}", ran.whole());
    }
}

/// One target that fails midway does not take what was found in the others with it.
#[test]
fn a_target_that_fails_midway_is_told() {
    let shop = shop();
    let mut bytes = std::fs::read(shop.path("shop.db")).expect("a database");
    bytes[4_096..].fill(0x5a);
    std::fs::write(shop.path("torn.db"), bytes).expect("a database");
    let torn = shop.run(&["audit", "sqlite:torn.db", "logs", "--identifiers", "people.txt"]);
    assert!(torn.code == 1 && torn.stdout.contains("unread     sqlite:torn.db"), "{}", torn.whole());
    shop.write("logs/loud.log", MAIL);
    let found = shop.run(&["audit", "sqlite:torn.db", "logs", "--identifiers", "people.txt"]);
    assert!(found.code == 3 && found.stdout.contains("loud.log"), "{}", found.whole());
}

/// A disk that is full when hours of work are done: the report is printed all the same, and it is no success.
#[test]
fn a_report_that_cannot_be_written_is_not_lost() {
    let shop = shop();
    shop.write("r.html", "an older one");
    let bounded = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        let domicile = env!("CARGO_BIN_EXE_domicile");
        let script = format!("trap '' XFSZ; ulimit -f 1; exec {domicile} audit logs -i people.txt {script}");
        shell.args(["-c", &script]).current_dir(shop.path("."));
        let output = shell.output().expect("a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    };
    for (round, code) in [(1, 1), (2, 3)] {
        let (was, stdout, stderr) = bounded("-o r.html");
        assert_eq!(was, code, "{stdout}{stderr}");
        assert!(stdout.contains("what no search of this kind sees") || code == 3, "{stdout}{stderr}");
        assert!(
            stderr.contains("can't write the report r.html") && stderr.contains("stands above"),
            "{stderr}"
        );
        assert!(!stdout.contains("the report is in"), "{stdout}");
        assert_eq!(shop.read("r.html"), "an older one");
        for form in ["--json", "--format sarif", "--format html", ""] {
            let (was, _, stderr) = bounded(&format!("{form} > /dev/full"));
            assert_eq!(was, code, "{form}: {stderr}");
            assert!(stderr.contains("looked for") && stderr.contains("answer-unwritten"), "{form}: {stderr}");
        }
        if round == 1 {
            shop.write("logs/loud.log", MAIL);
        }
    }
    let rests = std::fs::read_dir(shop.path(".")).expect("the folder").flatten();
    assert!(rests.map(|e| e.file_name()).all(|name| !name.to_string_lossy().contains(".new")));
    // Where nothing can be written at all it is known before the search.
    let ran = shop.run(&["audit", "logs", "--identifiers", "people.txt", "-o", "/proc/r.html"]);
    assert!(ran.code == 1 && ran.stdout.is_empty() && ran.stderr.contains("/proc/r.html"), "{}", ran.whole());
}

/// Digests with keys, in whatever way a key is written; what is mistyped would find nothing, so it is refused.
#[test]
fn keys_and_salts() {
    let shop = shop();
    // HMAC-SHA-256 of the mail address with the key `Jefe`.
    shop.write("logs/hashed.csv", "13,e523269c72c66e8963c6c688442900b45af2af9f106a8811eaf3d03ae156abb0\n");
    for (file, text) in [
        ("plain.keys", "other\nJefe\n"),
        ("hex.keys", "hex:4a656665"),
        ("base64.keys", "base64: SmVmZQ==\r\n"),
    ] {
        shop.write(file, text);
        let args = ["audit", "logs", "--identifiers", "people.txt", "--hmac-key-file", file];
        let ran = shop.run(&args);
        assert!(ran.code == 3 && ran.stdout.contains("hmac-sha256"), "{file}: {}", ran.whole());
    }
    shop.write("none.txt", "\n");
    shop.write("bad.keys", "ok\nhex:4a6\n");
    for (args, said) in [
        (["--salt-file", "none.txt"], "none.txt holds no salt"),
        (["--hmac-key-file", "none.txt"], "none.txt holds no key"),
        (["--hmac-key-file", "bad.keys"], "bad.keys: key 2 is not written in what stands before it"),
    ] {
        let ran = shop.run(&[&["audit", "logs", "--identifiers", "people.txt"][..], &args].concat());
        assert!(ran.code == 2 && ran.stdout.is_empty() && ran.stderr.contains(said), "{}", ran.whole());
        assert!(ran.stderr.contains("audit-secrets") && !ran.stderr.contains("4a6"), "{}", ran.whole());
    }
}

/// What was copied out of a list, a table or a mail would be looked for with all that stands around it, and never be found.
#[test]
fn a_list_that_would_find_nothing_is_refused() {
    let shop = shop();
    for line in ["- c13@example.org", "\"c13@example.org\"", "<c13@example.org>", "c13@example.org,"] {
        shop.write("dressed.txt", &format!("# who moved\n{line}\n"));
        let ran = shop.run(&["audit", "logs", "--identifiers", "dressed.txt"]);
        assert!(
            ran.code == 2 && ran.stderr.contains("dressed.txt: line 2: it begins like"),
            "{}",
            ran.whole()
        );
        hides(&ran);
    }
    shop.write("short.txt", "free:c13@\n");
    let short = shop.run(&["audit", "logs", "--identifiers", "short.txt"]);
    assert!(short.stderr.contains("1 identifier under 6 bytes"), "{}", short.whole());
    // A target that begins like an option.
    std::fs::rename(shop.path("logs"), shop.path("-logs")).expect("a folder");
    let option = shop.run(&["audit", "-logs", "--identifiers", "people.txt"]);
    assert!(option.code == 2 && option.stderr.contains("--"), "{}", option.whole());
    shop.ok(&["audit", "--identifiers", "people.txt", "--", "-logs"]);
}

/// `-o` writes over no file that the search reads, finds out before the search, and leaves a report that only its owner reads.
#[test]
fn the_report_harms_no_other_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let shop = shop();
    std::fs::hard_link(shop.path("people.txt"), shop.path("again.txt")).expect("a link");
    let before = shop.read("logs/quiet.log");
    let base = ["audit", "sqlite:shop.db", "logs/quiet.log", "--identifiers", "people.txt", "-o"];
    for (file, code) in [
        ("people.txt", 2),
        ("again.txt", 2),
        ("shop.db", 2),
        ("logs/quiet.log", 2),
        ("logs", 1),
        ("no/r.html", 1),
    ] {
        let ran = shop.run(&[&base[..], &[file]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{file}: {}", ran.whole());
    }
    assert_eq!((shop.read("people.txt").as_str(), shop.read("logs/quiet.log")), (PEOPLE, before));
    shop.write("r.html", "an older one");
    std::fs::set_permissions(shop.path("r.html"), PermissionsExt::from_mode(0o666)).expect("a mode");
    assert_eq!(shop.run(&[&base[..], &["r.html"]].concat()).code, 3);
    assert!(shop.read("r.html").starts_with("<!doctype html>"));
    assert_eq!(std::fs::metadata(shop.path("r.html")).expect("a report").mode() & 0o777, 0o600);
    let rests = std::fs::read_dir(shop.path(".")).expect("the folder").flatten();
    assert!(rests.map(|e| e.file_name()).all(|name| !name.to_string_lossy().contains(".new")));
}
