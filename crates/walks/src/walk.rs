//! A folder in which `domicile` is run, and its screens are shown as a user sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// What went wrong, in words.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// The folder of one walk.
pub struct Walk {
    dir: PathBuf,
    domicile: PathBuf,
    env: Vec<(String, String)>,
    keep: bool,
}

impl Walk {
    /// A folder to walk in: `keep`, which stays, or a temporary one.
    pub fn new(name: &str, keep: Option<&Path>) -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        let fresh = || std::env::temp_dir().join(format!("domicile-{name}-{}", since.as_nanos()));
        let dir = keep.map_or_else(fresh, Path::to_owned);
        if dir.join("domicile.toml").exists() {
            return Err(format!("{} holds an earlier walk: remove it or name another folder", dir.display()));
        }
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let dir = dir.canonicalize().map_err(|e| e.to_string())?;
        Ok(Self { dir, domicile: binary()?, env: Vec::new(), keep: keep.is_some() })
    }

    /// Sets a variable of the environment for every run.
    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a file of the folder.
    pub fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name)).map_err(|e| format!("{name}: {e}"))
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path(name), text).map_err(|e| format!("{name}: {e}"))
    }

    /// Adds to a file of the folder.
    pub fn append(&self, name: &str, text: &str) -> Result<()> {
        self.write(name, &format!("{}{text}", self.read(name)?))
    }

    /// `domicile` with arguments, ready to be run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.domicile);
        command.args(args).current_dir(&self.dir).env_remove("DOMICILE_CONFIG").env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
        command
    }

    /// Runs it, shows it, and wants one of these exit codes. Returns what it printed to stdout.
    pub fn wants(&self, codes: &[i32], args: &[&str]) -> Result<String> {
        println!("\n$ domicile {}", shown(args));
        let output = self.command(args).output().map_err(|e| format!("{}: {e}", self.domicile.display()))?;
        show(&output);
        let code = output.status.code();
        if !code.is_some_and(|c| codes.contains(&c)) {
            return Err(format!("`domicile {}` ended with {}, not {codes:?}", shown(args), output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it and wants exit code 0.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        self.wants(&[0], args)
    }

    /// Runs it with `--json`, without showing it, and reads the answer.
    pub fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let output = self.command(args).arg("--json").output().map_err(|e| e.to_string())?;
        serde_json::from_slice(&output.stdout)
            .map_err(|e| format!("`domicile {} --json`: {e}: {}", shown(args), lossy(&output.stderr)))
    }

    /// Starts it and leaves it running; its output goes to `log` in the folder.
    pub fn start(&self, args: &[&str], log: &str) -> Result<Child> {
        println!("\n$ domicile {} &", shown(args));
        let file = fs::File::create(self.path(log)).map_err(|e| e.to_string())?;
        let same = file.try_clone().map_err(|e| e.to_string())?;
        self.command(args).stdout(file).stderr(same).spawn().map_err(|e| e.to_string())
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        if self.keep {
            println!("\nkept: {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// What the walk does between two commands of `domicile`.
pub fn say(text: &str) {
    println!("\n# {text}");
}

/// Pipes what `guard grants` printed into psql, as a superuser.
pub fn piped(cluster: &domicile_testbed::postgres::Cluster, database: &str, sql: &str) -> Result<()> {
    let output = cluster.script("postgres", database, sql);
    if output.status.success() { Ok(()) } else { Err(lossy(&output.stderr)) }
}

/// `domicile` beside this program.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DOMICILE_BIN") {
        return Ok(PathBuf::from(path));
    }
    let here = std::env::current_exe().map_err(|e| e.to_string())?;
    let path = here.with_file_name("domicile");
    if path.is_file() { Ok(path) } else { Err("build it first: cargo build -p domicile-cli".to_owned()) }
}

fn shown(args: &[&str]) -> String {
    let plain = |a: &str| a.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@>=".contains(c));
    let one = |a: &&str| if plain(a) && !a.contains('>') { (*a).to_owned() } else { format!("'{a}'") };
    args.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn show(output: &Output) {
    print!("{}{}", lossy(&output.stderr), lossy(&output.stdout));
    if let Some(code) = output.status.code().filter(|c| *c != 0) {
        println!("(exit code {code})");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
