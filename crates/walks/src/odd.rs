//! A database of an odd shape (fixtures/odd): UUID and composite keys, two schemas, quoted names, an enum,
//! jsonb, self-references, a country three foreign keys away, a row that leads to two subjects, and photos
//! as objects in SeaweedFS, through the whole way from `init` to `erase`.

use crate::walk::{Result, Walk, piped, say};
use domicile_testbed::postgres::Cluster;
use domicile_testbed::seaweed::Seaweed;
use std::path::{Path, PathBuf};

/// (region and bucket, country, studio code). Everybody lives at the first one before the move.
const REGIONS: [(&str, &str, &str); 3] =
    [("bonn", "DE", "BON"), ("lyon", "FR", "LYS"), ("pune", "IN", "PNQ")];

/// The subject's tables: name in SQL, what may differ after a move, and whose a row is (`MINE` stands for
/// the keys of the members of one studio).
const TABLES: [(&str, &str, &str); 5] = [
    (r#""Camera Club"."Member""#, "- 'Invited By'", r#""Id" IN (MINE)"#),
    (r#""Camera Club"."Visit.Log""#, "", "member IN (MINE)"),
    (r#""Camera Club"."Photo""#, "", "member IN (MINE)"),
    (
        r#""Camera Club"."Mark""#,
        "",
        r#"photo IN (SELECT id FROM "Camera Club"."Photo" WHERE member IN (MINE))"#,
    ),
    (r#""Camera Club".letter"#, "", "author IN (MINE)"),
];

const POLICY: &str = r#"@id("own-country")
@law("the club's rule 1")
@reason("a member's data lives in the country of the member's studio")
permit (principal, action, resource)
when { principal.residence == resource.country };
"#;

/// What the club answers to `init`'s questions: (question, answer).
const ANSWERS: [(&str, &str); 6] = [
    ("country", "Member_Studio Code_Studio Nr_fkey->city->country->iso"),
    ("other:Camera Club.Member", "null"),
    ("owner:Camera Club.letter", "author"),
    ("other:Camera Club.letter", "keep-id"),
    ("object:Camera Club.Photo.object_key", "deny"),
    ("stores", "none"),
];

/// The servers of the walk.
struct Club {
    clusters: Vec<Cluster>,
    weed: Seaweed,
}

/// `odd [--keep DIR]`.
pub fn run(args: &[String]) -> Result<()> {
    let keep = match args {
        [] => None,
        [flag, dir] if flag == "--keep" => Some(PathBuf::from(dir)),
        _ => return Err("odd [--keep DIR]".to_owned()),
    };
    let mut walk = Walk::new("odd", keep.as_deref())?;
    let club = Club::start()?;
    walk.env("AWS_ACCESS_KEY_ID", club.weed.access_key());
    walk.env("AWS_SECRET_ACCESS_KEY", club.weed.secret_key());
    let before = club.rows(|_| 0);
    let photos = club.photos();
    say(&format!("{} rows of 60 members in bonn, and {} photos", before.len(), photos.len()));
    answer(&walk, &club)?;
    open_regions(&walk, &club)?;
    walk.ok(&["plan", "-o", "plan.json"])?;
    walk.ok(&["move", "plan.json"])?;
    walk.ok(&["verify"])?;
    club.check(&before, &photos)?;
    walk.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n")?;
    walk.ok(&["erase"])?;
    walk.ok(&["verify"])?;
    club.check(&before, &photos)?;
    club.check_erased(&before, &photos)?;
    for wave in ["w1", "w2"] {
        walk.ok(&["receipt", "verify", &format!("receipts/{wave}.receipts")])?;
    }
    println!("\nodd: every row and photo is at its member's home, equal to what it was, and nowhere else");
    Ok(())
}

/// `init` and its questions.
fn answer(walk: &Walk, club: &Club) -> Result<()> {
    walk.ok(&[
        "init",
        "--from",
        &club.clusters[0].url("domicile", "club"),
        "--country",
        "DE",
        "--region",
        "bonn",
    ])?;
    let asked = walk.json(&["answer"])?;
    walk.wants(&[3], &["answer"])?;
    let asked: Vec<&str> =
        asked["questions"].as_array().into_iter().flatten().filter_map(|q| q["id"].as_str()).collect();
    let known: Vec<&str> = ANSWERS.iter().map(|(id, _)| *id).collect();
    if asked != known {
        return Err(format!("init asked {asked:?}, not {known:?}"));
    }
    for (id, answer) in ANSWERS {
        walk.ok(&["answer", id, answer])?;
    }
    walk.write("policies/starter.cedar", POLICY)?;
    let objects = format!("objects = \"{}\"", club.bucket("bonn"));
    let config = walk.read("domicile.toml")?;
    let line = config.lines().find(|l| l.starts_with("# objects = ")).ok_or("no line for objects")?;
    walk.write("domicile.toml", &config.replacen(line, &objects, 1))
}

/// Grants, the other regions, and the guard everywhere.
fn open_regions(walk: &Walk, club: &Club) -> Result<()> {
    let grants = walk.ok(&["guard", "grants"])?;
    piped(&club.clusters[0], "club", &grants)?;
    let found = walk.wants(&[3], &["check"])?;
    say("letters keep the reader's id (`keep-id`): the owner drops that foreign key, as `check` says");
    let fix = found.lines().find_map(|line| line.trim().strip_prefix("fix: ALTER TABLE "));
    let fix = fix.ok_or("check did not say which foreign key must go")?;
    club.clusters[0].sql("club", &format!("ALTER TABLE {fix}"));
    for (at, (id, country, _)) in REGIONS.iter().enumerate().skip(1) {
        let url = club.clusters[at].url("domicile", "club");
        let bucket = club.bucket(id);
        walk.append(
            "domicile.toml",
            &format!("\n[[region]]\nid = \"{id}\"\ncountry = \"{country}\"\nrecords = \"{url}\"\nobjects = \"{bucket}\"\n"),
        )?;
    }
    for (at, (id, ..)) in REGIONS.iter().enumerate().skip(1) {
        let grants = walk.ok(&["guard", "grants", "--region", id])?;
        piped(&club.clusters[at], "club", &grants)?;
        walk.ok(&["region", "prepare", id])?;
    }
    for step in ["install", "backfill", "enforce"] {
        walk.ok(&["guard", step])?;
    }
    walk.ok(&["check"])?;
    Ok(())
}

impl Club {
    fn start() -> Result<Self> {
        let weed = Seaweed::start()?;
        let clusters: Vec<Cluster> = REGIONS.iter().map(|_| Cluster::start()).collect();
        for (cluster, (bucket, ..)) in clusters.iter().zip(REGIONS) {
            weed.create_bucket(bucket);
            cluster.sql("postgres", "CREATE ROLE club LOGIN");
            cluster.sql("postgres", "CREATE ROLE domicile LOGIN");
            cluster.sql("postgres", "CREATE DATABASE club OWNER club");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/odd");
        for file in ["schema.sql", "data.sql"] {
            let sql = std::fs::read_to_string(folder.join(file)).map_err(|e| format!("{file}: {e}"))?;
            clusters[0].sql("club", &format!("SET ROLE club;\n{sql}"));
        }
        let club = Self { clusters, weed };
        for (key, _) in club.photos() {
            club.weed.put("bonn", &key, picture(&key).as_bytes());
        }
        Ok(club)
    }

    fn bucket(&self, id: &str) -> String {
        format!("s3://{id}?endpoint={}&region=us-east-1", self.weed.endpoint())
    }

    /// The rows of every region's members as JSON, sorted, read at the region that `at` says.
    fn rows(&self, at: impl Fn(usize) -> usize) -> Vec<String> {
        let mut all = Vec::new();
        for (region, (_, _, studio)) in REGIONS.iter().enumerate() {
            let mine = format!(r#"SELECT "Id" FROM "Camera Club"."Member" WHERE "Studio Code" = '{studio}'"#);
            for (table, without, whose) in TABLES {
                let whose = whose.replace("MINE", &mine);
                let sql = format!("SELECT to_jsonb(t) {without} FROM {table} AS t WHERE {whose}");
                let rows = self.clusters[at(region)].sql("club", &sql);
                all.extend(rows.lines().map(|row| format!("{table} {row}")));
            }
        }
        all.sort();
        all
    }

    /// (key, region it belongs to) of every photo, read in bonn.
    fn photos(&self) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        for (region, _, studio) in REGIONS {
            let sql = format!(
                r#"SELECT object_key FROM "Camera Club"."Photo" AS p JOIN "Camera Club"."Member" AS m
                ON m."Id" = p.member WHERE "Studio Code" = '{studio}'"#
            );
            all.extend(self.clusters[0].sql("club", &sql).lines().map(|key| (key.to_owned(), region)));
        }
        all
    }

    /// Rows and photos at their members' homes are what they were.
    fn check(&self, before: &[String], photos: &[(String, &str)]) -> Result<()> {
        let now = self.rows(|region| region);
        if let Some((was, is)) = before.iter().zip(&now).find(|(was, is)| was != is) {
            return Err(format!("a row differs\nwas: {was}\nis:  {is}"));
        }
        if now.len() != before.len() {
            return Err(format!("{} rows instead of {}", now.len(), before.len()));
        }
        for (key, region) in photos {
            if self.weed.get(region, key).as_deref() != Some(picture(key).as_bytes()) {
                return Err(format!("{region}: photo {key} is absent or differs"));
            }
        }
        let lost = r#"SELECT count(*) FROM "Camera Club"."Member" WHERE "Invited By" IS NOT NULL"#;
        let kept = r#"SELECT count(*) FROM "Camera Club".letter WHERE reader IS NULL"#;
        for (at, (region, ..)) in REGIONS.iter().enumerate().skip(1) {
            if self.clusters[at].sql("club", lost) != "0" || self.clusters[at].sql("club", kept) != "0" {
                return Err(format!("{region}: answers `null` and `keep-id` were not kept"));
            }
        }
        println!(
            "\n{} rows and {} photos are what they were, each at its member's home",
            now.len(),
            photos.len()
        );
        Ok(())
    }

    /// Nothing is left of who moved away.
    fn check_erased(&self, before: &[String], photos: &[(String, &str)]) -> Result<()> {
        let mut all = 0;
        for cluster in &self.clusters {
            for (table, ..) in TABLES {
                let n = cluster.sql("club", &format!("SELECT count(*) FROM {table}"));
                all += n.parse::<usize>().map_err(|e| format!("{table}: {n}: {e}"))?;
            }
        }
        if all != before.len() {
            return Err(format!("{all} rows in all regions instead of {}", before.len()));
        }
        for (key, home) in photos {
            for (region, ..) in REGIONS.iter().filter(|(region, ..)| region != home) {
                if self.weed.get(region, key).is_some() {
                    return Err(format!("{region} still has photo {key}, which lives in {home}"));
                }
            }
        }
        Ok(())
    }
}

/// A photo's bytes: its own, so that none can stand for another.
fn picture(key: &str) -> String {
    key.repeat(300)
}
