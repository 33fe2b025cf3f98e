//! nginx and Varnish of Debian, each on a free port of loopback, as an unprivileged user, in a folder of its own.

use crate::{Watchdog, folder, is_root, run, unprivileged, unprivileged_user};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it accepts connections.
const START_MAX: Duration = Duration::from_secs(60);

/// The program nginx, where it is installed.
pub fn nginx_program() -> Option<PathBuf> {
    found("nginx")
}

/// The program varnishd, where it is installed.
pub fn varnish_program() -> Option<PathBuf> {
    found("varnishd")
}

fn found(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|p| p.is_file())
}

/// A server that is stopped, and whose folder is removed, when this is dropped or the process ends.
#[derive(Debug)]
pub struct WebServer {
    port: u16,
    _watchdog: Watchdog,
}

impl WebServer {
    /// nginx with what `http` makes of its folder in the block `http`; it must listen on 127.0.0.1:`port`.
    ///
    /// # Errors
    /// In words: it is missing, or its last words.
    pub fn nginx(port: u16, http: impl FnOnce(&Path) -> String) -> Result<Self, String> {
        let program = nginx_program().ok_or("nginx is missing: `cargo xtask tools` installs it")?;
        let dir = folder("nginx");
        let at = dir.display();
        let temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|t| format!("{t}_temp_path {at}/{t};\n"));
        let text = format!(
            "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{ worker_connections 512; }}\n\
             http {{\naccess_log off;\n{}{}\n}}\n",
            temps.concat(),
            http(&dir)
        );
        fs::write(dir.join("nginx.conf"), text).map_err(|e| e.to_string())?;
        let mut command = unprivileged(&program);
        command
            .arg("-p")
            .arg(&dir)
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .arg("-e")
            .arg(dir.join("error.log"));
        Self::start(command, &dir, port)
    }

    /// Varnish with this VCL. It compiles it with the C compiler of the machine.
    ///
    /// # Errors
    /// As [`WebServer::nginx`].
    pub fn varnish(port: u16, vcl: &str) -> Result<Self, String> {
        let program = varnish_program().ok_or("varnishd is missing: `cargo xtask tools` installs it")?;
        let dir = folder("varnish");
        fs::write(dir.join("rules.vcl"), vcl).map_err(|e| e.to_string())?;
        let mut command = unprivileged(&program);
        command.args(["-F", "-j", "none", "-s", "malloc,32m"]).arg("-a").arg(format!("127.0.0.1:{port}"));
        command
            .arg("-f")
            .arg(dir.join("rules.vcl"))
            .arg("-n")
            .arg(dir.join("work"))
            .arg("-P")
            .arg(dir.join("pid"));
        Self::start(command, &dir, port)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start(mut command: Command, dir: &Path, port: u16) -> Result<Self, String> {
        let out = fs::File::create(dir.join("out")).map_err(|e| e.to_string())?;
        let err = out.try_clone().map_err(|e| e.to_string())?;
        if is_root() {
            run(Command::new("chown").arg("-R").arg(unprivileged_user()).arg(dir));
        }
        let mut server = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| e.to_string())?;
        let stop = format!(
            "pid=$(cat '{0}/pid' 2>/dev/null); [ -n \"$pid\" ] && kill -TERM \"$pid\"; sleep 0.3; rm -rf '{0}'",
            dir.display()
        );
        let watchdog = Watchdog::new(&stop);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let gone = server.try_wait().map_err(|e| e.to_string())?;
            if gone.is_some() || began.elapsed() > START_MAX {
                let said = ["out", "error.log"].map(|f| fs::read_to_string(dir.join(f)).unwrap_or_default());
                return Err(format!("it does not start ({gone:?}):\n{}", said.concat()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Reaped once it ends, whoever ended it.
        std::thread::spawn(move || server.wait());
        Ok(Self { port, _watchdog: watchdog })
    }
}
