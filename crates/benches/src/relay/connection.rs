//! HTTP/1.1 as little as it takes, so that who measures takes little of the machine.

use crate::Fallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// So many of them.
pub async fn connect(address: &str, many: usize) -> Fallible<Vec<Connection>> {
    let mut all = Vec::new();
    for _ in 0..many {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        all.push(Connection { stream, read: Vec::new() });
    }
    Ok(all)
}

impl Connection {
    /// Sends a message and waits until it is kept.
    pub async fn kept(&mut self, request: &[u8]) -> Result<(), String> {
        self.asked(request, "202").await.map(drop)
    }

    /// Sends and waits for an answer of that status: its body.
    pub async fn asked(&mut self, request: &[u8], status: &str) -> Result<Vec<u8>, String> {
        self.stream.write_all(request).await.map_err(|e| e.to_string())?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            if let Some((head, end)) = whole(&self.read) {
                let is_wanted = self.read.get(9..12) == Some(status.as_bytes());
                let answer: Vec<u8> = self.read.drain(..end).collect();
                return match is_wanted {
                    true => Ok(answer[head..].to_vec()),
                    false => Err(String::from_utf8_lossy(&answer).into_owned()),
                };
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err("the relay hung up".to_owned()),
                Ok(read) => self.read.extend_from_slice(&buffer[..read]),
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

/// Where the head ends and the answer does that these bytes begin with, once it is there whole.
fn whole(read: &[u8]) -> Option<(usize, usize)> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).ok()?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head + length.map_or(Ok(0), |length| length.trim().parse::<usize>()).ok()?;
    (read.len() >= end).then_some((head, end))
}
