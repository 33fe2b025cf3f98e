//! `domicile`, run as an operator runs it; everything that it says is kept with the evidence.

use domicile_testbed::Watchdog;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program and the folder that it is run in.
pub struct Domicile {
    program: PathBuf,
    dir: PathBuf,
    roots: Option<PathBuf>,
}

impl Domicile {
    /// The program beside this one, or the one that `DOMICILE_BIN` names.
    ///
    /// # Errors
    /// In words: it is not built.
    pub fn new(dir: &Path) -> Result<Self, String> {
        let named = std::env::var_os("DOMICILE_BIN").map(PathBuf::from);
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let program = named.unwrap_or_else(|| own.with_file_name("domicile"));
        if !program.is_file() {
            return Err(format!("{} is not built: cargo build -p domicile-cli", program.display()));
        }
        Ok(Self { program, dir: dir.to_owned(), roots: None })
    }

    /// From now on it trusts these certificates instead of the machine's.
    pub fn trusts(&mut self, roots: &Path) {
        self.roots = Some(roots.to_owned());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.dir).env_remove("DOMICILE_CONFIG").env("NO_COLOR", "1");
        if let Some(roots) = &self.roots {
            command.env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end and returns what it answered.
    ///
    /// # Errors
    /// What it said, where it did not end with 0.
    pub fn ok(&self, args: &[&str]) -> Result<String, String> {
        let output = self.command(args).output().map_err(|e| format!("{}: {e}", self.program.display()))?;
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let whole = format!("$ domicile {}\n{stderr}{stdout}\n", args.join(" "));
        let log = OpenOptions::new().create(true).append(true).open(self.dir.join("commands.log"));
        log.and_then(|mut log| log.write_all(whole.as_bytes())).map_err(|e| format!("commands.log: {e}"))?;
        if output.status.success() { Ok(stdout) } else { Err(format!("{}: {whole}", output.status)) }
    }

    /// Starts it and leaves it running until the watchdog goes, or this process, however it ends; what it says goes to `log` in
    /// the folder.
    ///
    /// # Errors
    /// In words: it did not start.
    pub fn start(&self, args: &[&str], log: &str) -> Result<(Child, Watchdog), String> {
        let file = File::create(self.dir.join(log)).map_err(|e| format!("{log}: {e}"))?;
        let same = file.try_clone().map_err(|e| e.to_string())?;
        let child = self.command(args).stdout(file).stderr(same).spawn().map_err(|e| e.to_string())?;
        let program = self.program.display().to_string().replace('\'', "'\\''");
        // Not another one that was given the number since.
        let end = format!("test /proc/{0}/exe -ef '{program}' && kill {0}", child.id());
        Ok((child, Watchdog::new(&end)))
    }

    /// The logs of everything that ran.
    ///
    /// # Errors
    /// In words: the folder can't be read.
    pub fn logs(&self) -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(&self.dir).map_err(|e| e.to_string())?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(paths.filter(|path| path.extension().is_some_and(|e| e == "log")).collect())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_was_started_ends_with_its_watchdog() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("it's a program");
        fs::copy("/bin/sleep", &program).unwrap();
        let domicile = Domicile { program, dir: folder.path().to_owned(), roots: None };
        let (mut child, watchdog) = domicile.start(&["600"], "log").unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(watchdog);
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }
}
