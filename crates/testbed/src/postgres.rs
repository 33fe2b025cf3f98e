//! A PostgreSQL cluster of its own.

use crate::far::Far;
use crate::{Watchdog, folder, free_port, run, unprivileged};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The folder of the server's programs: `pg_config --bindir` if `initdb` is there, else the newest
/// folder below `/usr/lib/postgresql`.
pub fn bin_dir() -> Option<PathBuf> {
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let asked = asked.map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()));
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = debian.map(|e| e.path().join("bin")).collect();
    found.sort();
    asked.into_iter().chain(found.into_iter().rev()).find(|dir| dir.join("initdb").exists())
}

const MISSING: &str =
    "PostgreSQL's server programs: `cargo xtask test` installs them, or apt-get install postgresql";

/// A running cluster; stopped and removed when dropped or when the process ends.
#[derive(Debug)]
pub struct Cluster {
    /// TCP port on [`Cluster::host`].
    pub port: u16,
    host: String,
    /// The network namespace it runs in, if not the machine's.
    namespace: Option<String>,
    bin: PathBuf,
    /// The folder of `psql` and the like, which a server of another version may lack.
    clients: PathBuf,
    dir: PathBuf,
    _watchdog: Watchdog,
}

impl Cluster {
    /// Starts a cluster with superuser `postgres`, no password needed from loopback.
    ///
    /// # Panics
    /// Where PostgreSQL's server programs are missing or it does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further lines of `postgresql.conf`. `fsync` is off unless they say otherwise.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_with(settings: &[&str]) -> Self {
        let bin = bin_dir().expect(MISSING);
        Self::start_from(bin, settings)
    }

    /// The same of a major version, the machine's own or a fetched one ([`crate::versions`]).
    ///
    /// # Panics
    /// Where that version is not on the machine or does not start.
    pub fn start_version(major: u32, settings: &[&str]) -> Self {
        let bin = crate::versions::programs(major);
        let bin =
            bin.unwrap_or_else(|| panic!("PostgreSQL {major} is missing: `cargo xtask test` fetches it"));
        Self::start_from(bin, settings)
    }

    /// The same in a place far away; its own address is the fast one.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_far(far: &Far, settings: &[&str]) -> Self {
        let mut cluster =
            Self::made(bin_dir().expect(MISSING), &[settings, &["listen_addresses='*'"]].concat());
        let hba = cluster.dir.join("data/pg_hba.conf");
        let rules = fs::read_to_string(&hba).expect("pg_hba.conf");
        fs::write(hba, rules + "host all all 10.0.0.0/8 trust\n").expect("pg_hba.conf");
        (cluster.host, cluster.namespace) = (far.fast.clone(), Some(far.name().to_owned()));
        cluster.up();
        cluster
    }

    fn start_from(bin: PathBuf, settings: &[&str]) -> Self {
        let cluster = Self::made(bin, settings);
        cluster.up();
        cluster
    }

    /// A cluster that was not started yet.
    fn made(bin: PathBuf, settings: &[&str]) -> Self {
        let dir = folder("pg");
        let data = dir.join("data");
        run(unprivileged(&bin.join("initdb")).current_dir("/").arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]));
        let port = free_port();
        let mut conf = fs::read_to_string(data.join("postgresql.conf")).expect("postgresql.conf");
        conf.push_str(&format!(
            "\nlisten_addresses='127.0.0.1'\nport={port}\nunix_socket_directories=''\nfsync=off\nmax_connections=200\n\
             max_prepared_transactions=10\nshared_buffers=128MB\nlog_min_messages=warning\n"
        ));
        for line in settings {
            conf.push_str(line);
            conf.push('\n');
        }
        fs::write(data.join("postgresql.conf"), conf).expect("postgresql.conf");
        Self::in_folder(port, bin, dir)
    }

    fn in_folder(port: u16, bin: PathBuf, dir: PathBuf) -> Self {
        let stop = format!(
            "pid=$(head -1 '{0}/data/postmaster.pid' 2>/dev/null); [ -n \"$pid\" ] && kill -QUIT \"$pid\"; sleep 0.3; rm -rf '{0}'",
            dir.display()
        );
        let clients = bin_dir().expect(MISSING);
        let host = "127.0.0.1".to_owned();
        Self { port, host, namespace: None, bin, clients, dir, _watchdog: Watchdog::new(&stop) }
    }

    /// A streaming standby of this cluster, with `name` as its `application_name`.
    ///
    /// # Panics
    /// Where the copy can't be made or does not start.
    pub fn standby(&self, name: &str) -> Self {
        let (dir, port) = (folder("standby"), free_port());
        let data = dir.join("data");
        let primary = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        run(unprivileged(&self.bin.join("pg_basebackup")).current_dir("/").arg("-D").arg(&data).args([
            "-R",
            "-X",
            "stream",
            "--checkpoint=fast",
            "--no-sync",
            "-d",
            &primary,
        ]));
        let mut conf = fs::read_to_string(data.join("postgresql.conf")).expect("postgresql.conf");
        conf.push_str(&format!("\nport={port}\n"));
        fs::write(data.join("postgresql.conf"), conf).expect("postgresql.conf");
        let standby = Self::in_folder(port, self.bin.clone(), dir);
        standby.up();
        standby
    }

    /// Starts a running cluster anew so that no file of it can grow beyond `kib` KiB, or with `None` without
    /// that bound: a relation that would grow further is a full disk to the server (a short write, 53100).
    /// Its files of write-ahead log need 16 MiB; a bound that cuts a page of 8 KiB is met by a short write.
    pub fn bound_files(&self, kib: Option<u32>) {
        self.ctl(&["stop", "-m", "fast"]);
        match kib {
            None => self.up(),
            Some(kib) => {
                let script = format!("ulimit -f {kib}; exec \"$@\"");
                let start = ["start", "-w", "-l"];
                run(unprivileged(Path::new("bash"))
                    .current_dir("/")
                    .args(["-c", &script, "bash"])
                    .arg(self.bin.join("pg_ctl"))
                    .arg("-D")
                    .arg(self.dir.join("data"))
                    .args(start)
                    .arg(self.dir.join("log")));
            }
        }
    }

    /// Starts a stopped cluster again on the same port.
    pub fn up(&self) {
        self.ctl(&["start", "-w", "-l", self.dir.join("log").to_str().expect("utf-8 path")]);
    }

    /// Stops it as a crash would: `pg_ctl stop -m immediate`.
    pub fn crash(&self) {
        self.ctl(&["stop", "-m", "immediate"]);
    }

    /// SIGKILL to all its processes at once: nobody of them does anything any more. Linux.
    ///
    /// # Panics
    /// Where the cluster is stopped.
    pub fn kill(&self) {
        let first = self.pid();
        let is_child = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line.strip_prefix("PPid:").is_some_and(|ppid| ppid.trim().parse() == Ok(first)))
        };
        let all = fs::read_dir("/proc").expect("/proc");
        let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        // Who starts others goes first; those that end by themselves meanwhile are no matter.
        let pids: Vec<String> =
            std::iter::once(first).chain(all.filter(is_child)).map(|pid| pid.to_string()).collect();
        let _ = Command::new("kill").arg("-9").args(&pids).stderr(std::process::Stdio::null()).status();
        for pid in &pids {
            // Until then its shared memory is in use, and the next start is refused.
            for _ in 0..2000 {
                if !Path::new("/proc").join(pid).exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }

    /// The server's first process.
    ///
    /// # Panics
    /// Where the cluster is stopped.
    pub fn pid(&self) -> u32 {
        let file = self.dir.join("data/postmaster.pid");
        let text = fs::read_to_string(file).expect("postmaster.pid of a running cluster");
        text.lines().next().and_then(|l| l.trim().parse().ok()).expect("a pid")
    }

    /// The folder with `data` and `log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The URL of a database for a role.
    pub fn url(&self, role: &str, database: &str) -> String {
        self.url_by(&self.host, role, database)
    }

    /// The same by another of its addresses.
    pub fn url_by(&self, host: &str, role: &str, database: &str) -> String {
        format!("postgres://{role}@{host}:{}/{database}", self.port)
    }

    /// Runs SQL through psql as superuser and returns what it printed (unaligned, tuples only).
    ///
    /// # Panics
    /// Where a statement fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.psql(database).args(["-c", sql]).output_checked()
    }

    /// Runs a file of SQL through psql as superuser.
    ///
    /// # Panics
    /// Where a statement fails.
    pub fn sql_file(&self, database: &str, file: &Path) -> String {
        self.psql(database).arg("-f").arg(file).output_checked()
    }

    /// Pipes a script into `psql` as a role would, with no setting of ours: what it does at an error is up to
    /// the script.
    ///
    /// # Panics
    /// Where `psql` can't be started.
    pub fn script(&self, role: &str, database: &str, script: &str) -> Output {
        let mut psql = Command::new(self.clients.join("psql"));
        psql.args(["-X", "-q", "-d", &self.url(role, database)]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().expect("psql starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // psql stops reading at an error: a broken pipe is its answer, not ours.
        let _ = stdin.write_all(script.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("psql ends")
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.clients.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url("postgres", database)]);
        psql
    }

    fn ctl(&self, args: &[&str]) {
        let mut command = unprivileged(&self.bin.join("pg_ctl"));
        if let Some(namespace) = &self.namespace {
            let mut within = Command::new("ip");
            within.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
            command = within;
        }
        run(command.current_dir("/").arg("-D").arg(self.dir.join("data")).args(args));
    }
}

trait OutputChecked {
    fn output_checked(&mut self) -> String;
}

impl OutputChecked for Command {
    fn output_checked(&mut self) -> String {
        run(self).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Cluster;

    #[test]
    fn a_standby_follows() {
        let primary = Cluster::start();
        let standby = primary.standby("alpha");
        primary.sql("postgres", "create table t(a int); insert into t values (1)");
        // The server takes connections before it follows.
        let names = "select application_name from pg_stat_replication";
        let began = std::time::Instant::now();
        while primary.sql("postgres", names) != "alpha" {
            assert!(began.elapsed().as_secs() < 60, "nobody follows");
        }
        assert_eq!(standby.sql("postgres", "select pg_is_in_recovery()"), "t");
    }

    #[test]
    fn files_that_may_not_grow_are_a_full_disk() {
        let cluster = Cluster::start();
        cluster.sql("postgres", "create table t(a text)");
        cluster.bound_files(Some(16 * 1024 + 4));
        let fill = "do $$ begin insert into t select repeat('x', 1000) from generate_series(1, 40000); \
                    raise 'it fitted'; exception when disk_full then null; end $$";
        cluster.sql("postgres", fill);
        cluster.bound_files(None);
        cluster.sql("postgres", "insert into t select repeat('x', 1000) from generate_series(1, 40000)");
    }

    #[test]
    fn a_cluster_survives_a_crash() {
        let cluster = Cluster::start();
        cluster.sql("postgres", "create table t(a int); insert into t values (1)");
        cluster.crash();
        cluster.up();
        assert_eq!(cluster.sql("postgres", "select count(*) from t"), "1");
    }
}
