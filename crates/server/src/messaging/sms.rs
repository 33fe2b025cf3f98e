//! How a code gets to a telephone.
//!
//! A number is handed over and forgotten: no error, log line or metric of these has one.

use super::outgoing::{Outgoing, Unheard};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Uri};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// How long the service may take to accept a message.
const ACCEPT_IN: Duration = Duration::from_secs(10);
/// Of its answer only the status counts; this much is read so that the connection can be kept, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sends text messages.
pub trait Sms: Send + Sync {
    /// Hands a text over to be sent to a number in E.164 form.
    fn send<'a>(&'a self, number: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), SmsError>>;
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmsError {
    /// The file can't be written: the system's word.
    #[error("the file of text messages can't be written: {0}")]
    File(std::io::ErrorKind),
    /// The service does not answer.
    #[error("the text message service: {0}")]
    Unheard(String),
    /// The service refused it.
    #[error("the text message service answers with status {0}")]
    Refused(u16),
    /// The settings are none that a request can be made of.
    #[error("{0}")]
    Settings(&'static str),
}

/// Appends each message to a file, a line of JSON each: for tests and for trying it out.
#[derive(Debug)]
pub struct FileSms {
    path: PathBuf,
    one_at_a_time: Mutex<()>,
}

impl FileSms {
    /// Appends to `path`, which is made with mode 0600.
    pub fn new(path: PathBuf) -> Self {
        Self { path, one_at_a_time: Mutex::default() }
    }

    async fn append(&self, line: String) -> std::io::Result<()> {
        let _turn = self.one_at_a_time.lock().await;
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).mode(0o600).open(&self.path).await?;
        file.write_all(line.as_bytes()).await?;
        file.flush().await
    }
}

impl Sms for FileSms {
    fn send<'a>(&'a self, number: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), SmsError>> {
        Box::pin(async move {
            let line = format!("{}\n", serde_json::json!({ "to": number, "text": text }));
            self.append(line).await.map_err(|e| SmsError::File(e.kind()))
        })
    }
}

/// Posts `{"to": NUMBER, "text": TEXT}` to a URL with a bearer token: what most services take, or a few lines in front of one.
#[derive(Debug)]
pub struct HttpSms {
    url: Uri,
    token: HeaderValue,
    client: Outgoing,
}

impl HttpSms {
    /// `token` is sent as `Authorization: Bearer TOKEN`.
    ///
    /// # Errors
    /// `Settings`: a URL off this machine that is not https, a token that can't be in a header; `Unheard`: no TLS.
    pub fn new(url: &str, token: &str) -> Result<Self, SmsError> {
        let url: Uri = url.parse().map_err(|_| SmsError::Settings("the URL can't be read"))?;
        let is_here = url.host().is_some_and(|host| {
            host == "localhost"
                || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        match url.scheme_str() {
            Some("https") => {}
            Some("http") if is_here => {}
            _ => {
                return Err(SmsError::Settings(
                    "numbers would be sent in the clear: the URL begins with https://",
                ));
            }
        }
        let mut token = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| SmsError::Settings("the token can't be sent in a header"))?;
        token.set_sensitive(true);
        let client = Outgoing::new().map_err(|e| SmsError::Unheard(e.to_string()))?;
        Ok(Self { url, token, client })
    }

    async fn post(&self, number: &str, text: &str) -> Result<u16, Unheard> {
        let body = serde_json::json!({ "to": number, "text": text }).to_string();
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.token.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        Ok(self.client.ask(request, ANSWER_BYTES_MAX, ACCEPT_IN).await?.status)
    }
}

impl Sms for HttpSms {
    fn send<'a>(&'a self, number: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), SmsError>> {
        Box::pin(async move {
            match self.post(number, text).await {
                Ok(200..300) => Ok(()),
                Ok(status) => Err(SmsError::Refused(status)),
                Err(unheard) => Err(SmsError::Unheard(unheard.to_string())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    const NUMBER: &str = "+15005550100";

    /// Answers one request with a status and says what came.
    async fn once(status: u16) -> (String, tokio::task::JoinHandle<String>) {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send", socket.local_addr().unwrap());
        let heard = tokio::spawn(async move {
            let (mut stream, _) = socket.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"}") {
                let mut part = [0; 4096];
                let n = stream.read(&mut part).await.unwrap();
                assert_ne!(n, 0, "it ended early");
                heard.extend_from_slice(&part[..n]);
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(heard).unwrap()
        });
        (url, heard)
    }

    #[tokio::test]
    async fn a_service_gets_number_text_and_token() {
        for (status, accepted) in [(202, Ok(())), (500, Err(SmsError::Refused(500)))] {
            let (url, heard) = once(status).await;
            let sms = HttpSms::new(&url, "a-token\n").unwrap();
            assert_eq!(sms.send(NUMBER, "123456 is the code").await, accepted);
            let heard = heard.await.unwrap();
            assert!(heard.starts_with("POST /send HTTP/1.1\r\n"), "{heard}");
            assert!(heard.contains("authorization: Bearer a-token\r\n"), "{heard}");
            let (_, body) = heard.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body, serde_json::json!({ "to": NUMBER, "text": "123456 is the code" }));
            assert!(!format!("{sms:?}").contains("a-token"));
        }
    }

    #[tokio::test]
    async fn an_error_names_no_number() {
        let sms = HttpSms::new("http://127.0.0.1:1/send", "a-token").unwrap();
        let error = sms.send(NUMBER, "canary").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("5005550100"), "{error}");
        for url in ["http://sms.example/", "ftp://127.0.0.1/", "sms.example"] {
            assert!(matches!(HttpSms::new(url, "t"), Err(SmsError::Settings(_))), "{url}");
        }
        assert!(HttpSms::new("https://sms.example/", "a\nb").is_err());
    }

    #[tokio::test]
    async fn a_file_gets_a_line_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sms.jsonl");
        let sms = FileSms::new(path.clone());
        let sent = (0..20).map(|n| {
            let sms = &sms;
            async move { sms.send(NUMBER, &format!("{n}")).await }
        });
        assert!(futures::future::join_all(sent).await.iter().all(Result::is_ok));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 20);
        for line in text.lines() {
            assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["to"], NUMBER);
        }
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        assert!(FileSms::new(folder.path().join("no/such")).send(NUMBER, "x").await.is_err());
    }
}
