//! One request of HTTP/1.1 (RFC 9112) on a connection of its own, to a host by its name: nothing of a library between the bytes
//! that a client means to send and those that the capture shows.

use std::io::{Error, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a host may take.
const WAIT: Duration = Duration::from_secs(10);
/// As much of an answer as anybody here reads.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Names a recording proxy, `address:port`, where there is no namespace: requests go to it whole.
pub const PROXY: &str = "DOMICILE_PRIVACY_PROXY";

/// Is there a proxy, which has no connections that could be kept?
pub fn has_proxy() -> bool {
    std::env::var_os(PROXY).is_some()
}

/// Posts `body` to port 80 of `host` and returns the status.
pub fn post(host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<u16> {
    ask("POST", host, path, headers, body)
}

/// The same by any method.
pub fn ask(method: &str, host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<u16> {
    let proxy = std::env::var(PROXY).ok();
    let to = proxy.clone().unwrap_or_else(|| format!("{host}:80"));
    let address =
        to.to_socket_addrs()?.next().ok_or_else(|| Error::other(format!("{host} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    // A proxy is told the whole URL (RFC 9112 section 3.2.2).
    let target = if proxy.is_some() { format!("http://{host}{path}") } else { path.to_owned() };
    stream.write_all(&request(method, &target, host, headers, body, false))?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| Error::other(format!("{host} did not answer in HTTP")))
}

/// The bytes of a request; `keep`: the connection may be used again.
pub fn request(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    keep: bool,
) -> Vec<u8> {
    let length = body.len();
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(if keep { "\r\n" } else { "Connection: close\r\n\r\n" });
    [head.as_bytes(), body].concat()
}
