//! The command's words: which rows to measure, and how much of each.

use crate::Fallible;
use std::path::PathBuf;

/// A row of the benchmark: its name, how long it takes on two cores at its default size, and at `--quick`.
pub struct Row {
    /// For `--only`.
    pub name: &'static str,
    /// Seconds at the default sizes.
    pub seconds: u64,
    /// Seconds with `--quick`.
    pub seconds_quick: u64,
}

const fn row(name: &'static str, seconds: u64, seconds_quick: u64) -> Row {
    Row { name, seconds, seconds_quick }
}

/// All rows, in the order they run.
pub const ROWS: [Row; 15] = [
    row("whole", 80, 10),
    row("pgcopydb", 80, 15),
    row("pause", 200, 25),
    row("hot", 25, 10),
    row("guard", 180, 20),
    row("objects", 280, 20),
    row("memory", 100, 25),
    row("linear", 150, 20),
    row("classes", 60, 10),
    row("wan", 320, 240),
    row("gateway", 260, 60),
    row("relay", 180, 30),
    row("discovery", 60, 10),
    row("audit", 180, 20),
    row("build", 600, 600),
];

/// These run only when they are named.
const NAMED: [&str; 5] = ["gateway", "relay", "discovery", "audit", "build"];
/// The rows of `bench move`: those without a tool of others.
const MOVE: [&str; 4] = ["whole", "pause", "guard", "memory"];

/// Words that take no value.
const FLAGS: [&str; 3] = ["--quick", "--profile", "--large"];

pub const HELP: &str = "\
cargo xtask bench [move|gateway|relay|discovery|audit] [options]   Markdown on stdout, what it is doing on stderr

  move                only the rows whole, pause, guard and memory
  gateway             only the row gateway
  relay               only the row relay
  discovery           only the row discovery
  audit               only the row audit
  latency             the case's latency, replayed; options of its own: bench latency --help
  --quick             smaller and fewer runs: shows that it works, not what it costs
  --only LIST         of whole, pgcopydb, pause, hot, guard, objects, memory, linear, classes, wan, gateway,
                      relay, discovery, audit, build (comma between); all but the last five where it is absent
  --runs N            runs of everything but memory, linear and classes (5; of wan at most 3)
  --subjects N        subjects of the whole move, 60 rows each (5000)
  --big-rows N        rows of a large subject in the pause rows (100000)
  --seconds N         seconds of a pgbench run (4)
  --bulk N            rows of the bulk insert (500000)
  --rows N            rows of the memory row (1000000; the full claim: 5000000)
  --object-gib N      GiB of the one object of the memory row (2)
  --objects N         small objects (64 KiB) of the objects row (10000)
  --large-objects N   large objects (256 MiB) of the objects row (6; the full claim: 20)
  --large             the linear row also with 1 000 000 subjects
  --plots DIR         where the linear row writes its plots (docs/img; with --quick: nowhere)
  --profile           where the time of the whole move goes, by process and statement, on stderr
";

/// What to measure and how much of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names of rows; empty: all but those that must be named.
    pub only: Vec<String>,
    /// Small and few: the figures say nothing.
    pub quick: bool,
    /// Runs of each pair.
    pub runs: usize,
    /// Subjects of the whole move.
    pub subjects: u64,
    /// Rows of a large subject.
    pub big_rows: u64,
    /// Seconds of a pgbench run.
    pub seconds: u64,
    /// Rows of a bulk insert.
    pub bulk: u64,
    /// Rows of the memory row.
    pub rows: u64,
    /// GiB of the memory row's object.
    pub object_gib: u64,
    /// Objects of 64 KiB.
    pub objects: u64,
    /// Large objects, and the MiB of each.
    pub large_objects: u64,
    /// MiB of a large object.
    pub large_object_mib: u64,
    /// Also a million subjects.
    pub large: bool,
    /// Where plots go, if anywhere.
    pub plots: Option<PathBuf>,
    /// Where the time goes, by statement.
    pub profile: bool,
}

impl Asked {
    /// Reads the words after `bench`.
    pub fn parse(args: &[String]) -> Fallible<Self> {
        let [quick, profile, large] = FLAGS.map(|flag| args.iter().any(|a| a == flag));
        let mut asked = if quick { Self::quick() } else { Self::whole() };
        (asked.profile, asked.large) = (profile, large);
        let mut rest = args.iter().filter(|a| !FLAGS.contains(&a.as_str())).peekable();
        if rest.next_if(|a| *a == "move").is_some() {
            asked.only = MOVE.map(str::to_owned).to_vec();
        }
        if let Some(row) = rest.next_if(|a| NAMED.contains(&a.as_str())) {
            asked.only = vec![row.clone()];
        }
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} needs a value\n\n{HELP}"))?;
            asked.option(name, value)?;
        }
        match asked.only.iter().find(|o| !ROWS.iter().any(|row| row.name == o.as_str())) {
            Some(wrong) => Err(format!("--only {wrong}: there is no such row\n\n{HELP}").into()),
            None => Ok(asked),
        }
    }

    fn option(&mut self, name: &str, value: &str) -> Fallible<()> {
        let number = || {
            let number = value.parse::<u64>().ok().filter(|n| *n > 0);
            number.ok_or(format!("{name}: {value} is not a number above 0"))
        };
        match name {
            "--only" => self.only = value.split(',').map(|row| row.trim().to_owned()).collect(),
            "--runs" => self.runs = number()? as usize,
            "--subjects" => self.subjects = number()?,
            "--big-rows" => self.big_rows = number()?,
            "--seconds" => self.seconds = number()?,
            "--bulk" => self.bulk = number()?,
            "--rows" => self.rows = number()?,
            "--object-gib" => self.object_gib = number()?,
            "--objects" => self.objects = number()?,
            "--large-objects" => self.large_objects = number()?,
            "--plots" => self.plots = Some(PathBuf::from(value)),
            other => return Err(format!("no option {other}\n\n{HELP}").into()),
        }
        Ok(())
    }

    fn whole() -> Self {
        Self {
            only: vec![],
            quick: false,
            runs: 5,
            subjects: 5_000,
            big_rows: 100_000,
            seconds: 4,
            bulk: 500_000,
            rows: 1_000_000,
            object_gib: 2,
            objects: 10_000,
            large_objects: 6,
            large_object_mib: 256,
            large: false,
            plots: Some(PathBuf::from("docs/img")),
            profile: false,
        }
    }

    fn quick() -> Self {
        Self {
            quick: true,
            runs: 2,
            subjects: 500,
            big_rows: 5_000,
            seconds: 1,
            bulk: 20_000,
            rows: 60_000,
            object_gib: 1,
            objects: 500,
            large_objects: 2,
            large_object_mib: 16,
            plots: None,
            ..Self::whole()
        }
    }

    /// The rows to run.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| match self.only.is_empty() {
            true => !NAMED.contains(&row.name),
            false => self.only.iter().any(|o| o == row.name),
        })
    }

    /// About how long they take together, in words.
    pub fn duration(&self) -> String {
        let seconds = |row: &Row| if self.quick { row.seconds_quick } else { row.seconds };
        let each: Vec<String> = self.rows().map(|row| format!("{} {} s", row.name, seconds(row))).collect();
        let all: u64 = self.rows().map(seconds).sum();
        format!("about {} minutes on two quiet cores ({})", all.div_ceil(60), each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Fallible<Asked> {
        Asked::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn names(asked: &Asked) -> Vec<&str> {
        asked.rows().map(|row| row.name).collect()
    }

    #[test]
    fn without_a_name_everything_but_what_must_be_named() -> Fallible<()> {
        assert_eq!(names(&asked("")?).len(), ROWS.len() - NAMED.len());
        assert_eq!(names(&asked("--only build,wan")?), ["wan", "build"]);
        assert_eq!(names(&asked("move --quick")?), MOVE);
        Ok(())
    }

    #[test]
    fn a_wrong_word_is_named() {
        assert!(asked("--only wam").unwrap_err().to_string().contains("wam"));
        assert!(asked("--runs 0").unwrap_err().to_string().contains("--runs"));
    }

    #[test]
    fn the_whole_takes_less_than_twenty_five_minutes() -> Fallible<()> {
        let all: u64 = asked("")?.rows().map(|row| row.seconds).sum();
        assert!(all < 25 * 60);
        Ok(())
    }
}
