//! Instances of the application: processes of their own, restarted one after the other.

use crate::walk::{Result, say};
use domicile_testbed::free_ports;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// So many instances, so that one can be restarted while the other answers.
const MANY: usize = 2;

/// The instances of one region.
pub struct Instances {
    ports: [u16; MANY],
    running: Vec<Child>,
}

impl Instances {
    /// Starts them with these arguments of `domicile-sample serve`.
    pub fn start(args: &[String]) -> Result<Self> {
        say(&format!("{MANY} instances of the application in a region"));
        shown(args);
        let ports = free_ports::<MANY>();
        let running = ports.iter().map(|port| start(*port, args)).collect::<Result<_>>()?;
        Ok(Self { ports, running })
    }

    /// Where they answer.
    pub fn bases(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect()
    }

    /// Restarts one after the other with other arguments, as a deployment does.
    pub fn restart(&mut self, args: &[String]) -> Result<()> {
        say("the instances restart one after the other");
        shown(args);
        for (at, port) in self.ports.iter().enumerate() {
            end(&mut self.running[at])?;
            self.running[at] = start(*port, args)?;
        }
        Ok(())
    }

    /// Ends them.
    pub fn stop(mut self) -> Result<()> {
        self.running.iter_mut().try_for_each(end)
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `domicile-sample` beside this program.
pub fn binary() -> Result<PathBuf> {
    let here = std::env::current_exe().map_err(|e| e.to_string())?;
    let path = here.with_file_name("domicile-sample");
    if path.is_file() { Ok(path) } else { Err("build it first: cargo build -p domicile-sample".to_owned()) }
}

/// The command, an option a line.
fn shown(args: &[String]) {
    println!("\n$ domicile-sample serve {}", args.join(" ").replace(" --", " \\\n    --"));
}

/// Returns once it listens.
pub(crate) fn start(port: u16, args: &[String]) -> Result<Child> {
    let mut command = Command::new(binary()?);
    command.arg("serve").args(args).args(["--listen", &format!("127.0.0.1:{port}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("domicile-sample: {e}"))?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("an instance has no output")?;
    BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
    if line.starts_with("listening on ") { Ok(child) } else { Err("an instance did not start".to_owned()) }
}

/// SIGTERM: a server takes no new connection, and finishes what it has begun.
pub fn end(child: &mut Child) -> Result<()> {
    let killed = Command::new("kill").arg(child.id().to_string()).status().map_err(|e| e.to_string())?;
    let ended = child.wait().map_err(|e| e.to_string())?;
    if killed.success() && ended.success() { Ok(()) } else { Err(format!("it ended with {ended}")) }
}
