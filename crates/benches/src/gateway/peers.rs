//! The origin, and the proxies in front of it: each a process that is pinned to a core.

use crate::Fallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process is up in this time.
const UP_MAX: Duration = Duration::from_secs(20);

/// Where the proxy under measurement runs, and where everything else does.
pub const PROXY_CORE: &str = "0";
pub const OTHER_CORE: &str = "1";

/// A process that ends with its owner.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // nginx ends its workers when it is asked to, and not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Starts a program on a core and waits until it listens.
fn start(core: &str, port: u16, command: &[&str]) -> Fallible<Running> {
    let child = Command::new("taskset")
        .args(["-c", core])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let running = Running(child);
    let until = Instant::now() + UP_MAX;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > until {
            return Err(format!("{} does not listen", command[0]).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// nginx with two files' worth of answers.
pub struct Origin {
    pub port: u16,
    _running: Running,
}

impl Origin {
    pub fn start(folder: &Path) -> Fallible<Self> {
        let [port] = domicile_testbed::free_ports::<1>();
        let site = folder.join("site");
        fs::create_dir_all(site.join("public"))?;
        fs::write(site.join("small"), "x".repeat(100))?;
        fs::write(site.join("large"), "x".repeat(64 * 1024))?;
        fs::write(site.join("public/page.html"), "x".repeat(4 * 1024))?;
        let server = format!(
            "server {{ listen 127.0.0.1:{port} backlog=4096; root {}; \
             location /public/ {{ add_header Cache-Control 'public, max-age=600'; }} }}",
            site.display()
        );
        Ok(Self { port, _running: nginx(folder, "origin", OTHER_CORE, port, &server)? })
    }
}

fn nginx(folder: &Path, name: &str, core: &str, port: u16, server: &str) -> Fallible<Running> {
    let home = folder.join(name);
    fs::create_dir_all(&home)?;
    let dir = home.display();
    let config = format!(
        "daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log crit; user root;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s; \
         default_type text/html; open_file_cache max=100; open_file_cache_valid 600s; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; \
         fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n{server}\n}}\n"
    );
    let file = home.join("nginx.conf");
    fs::write(&file, config)?;
    let file = file.display().to_string();
    start(core, port, &["nginx", "-c", &file])
}

/// One of the proxies.
pub struct Proxy {
    name: &'static str,
    pub port: u16,
    running: Running,
}

impl Proxy {
    /// The gateway, nginx, HAProxy: in this order.
    pub fn all(folder: &Path, origin: &Origin) -> Fallible<Vec<Self>> {
        let ports = domicile_testbed::free_ports::<3>();
        let gateway =
            Self { name: "Domicile's gateway", port: ports[0], running: gateway(folder, ports[0])? };
        let nginx =
            Self { name: "nginx, tuned", port: ports[1], running: nginx_proxy(folder, ports[1], origin)? };
        let haproxy = Self { name: "HAProxy", port: ports[2], running: haproxy(folder, ports[2], origin)? };
        Ok(vec![gateway, nginx, haproxy])
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// CPU time that the proxy and its workers have used, seconds.
    pub fn cpu_s(&self) -> f64 {
        let mut all = vec![self.running.0.id()];
        let children = format!("/proc/{0}/task/{0}/children", self.running.0.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        all.into_iter().map(used_s).sum()
    }
}

/// User and system time of one process (proc(5): fields 14 and 15, in hundredths of a second).
fn used_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn gateway(folder: &Path, port: u16) -> Fallible<Running> {
    let me = std::env::current_exe()?.display().to_string();
    start(PROXY_CORE, port, &[&me, "gateway-process", &folder.display().to_string(), &port.to_string()])
}

fn nginx_proxy(folder: &Path, port: u16, origin: &Origin) -> Fallible<Running> {
    let server = format!(
        "proxy_cache_path {0}/kept keys_zone=kept:10m;\n\
         upstream origin {{ server 127.0.0.1:{1}; keepalive 128; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; proxy_http_version 1.1; proxy_set_header Connection ''; \
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_buffers 16 32k; proxy_buffer_size 32k; \
         proxy_busy_buffers_size 64k; location / {{ proxy_pass http://origin; }} \
         location /public/ {{ proxy_cache kept; proxy_pass http://origin; }} }}",
        folder.join("nginx").display(),
        origin.port
    );
    nginx(folder, "nginx", PROXY_CORE, port, &server)
}

fn haproxy(folder: &Path, port: u16, origin: &Origin) -> Fallible<Running> {
    let config = format!(
        "global\n  nbthread 1\n  maxconn 4096\n  tune.bufsize 32768\ncache kept\n  total-max-size 16\n  max-object-size 100000\n  max-age 600\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n  option http-keep-alive\n  \
         http-reuse always\n  option forwardfor\n\
         frontend in\n  bind 127.0.0.1:{port} backlog 4096\n  default_backend origin\n  use_backend public if {{ path_beg /public/ }}\n\
         backend origin\n  server one 127.0.0.1:{0}\nbackend public\n  http-request cache-use kept\n  http-response cache-store kept\n  \
         server one 127.0.0.1:{0}\n",
        origin.port
    );
    let file: PathBuf = folder.join("haproxy.cfg");
    fs::write(&file, config)?;
    start(PROXY_CORE, port, &["haproxy", "-db", "-f", &file.display().to_string()])
}
