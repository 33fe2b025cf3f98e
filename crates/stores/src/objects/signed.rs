//! The two S3 requests that object_store has not: listing versions, and deleting one by its id.

use super::xml::{self, Next};
use super::{Version, failure};
use crate::{Error, Result};
use futures::TryStreamExt;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use std::time::Duration;

/// Tries of one request; each may be repeated.
const TRIES_MAX: u32 = 5;
/// Pause before the second try; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest answer that is read: 1 000 versions with keys of 1 024 bytes, escaped, take less.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Signed {
    pub http: HttpClient,
    pub credentials: AwsCredentialProvider,
    pub region: String,
    /// Endpoint and bucket: `https://host/bucket`.
    pub bucket: String,
    /// For messages.
    pub name: String,
}

impl Signed {
    /// One page of the versions of keys that begin with `prefix`.
    pub(super) async fn versions(
        &self,
        prefix: &str,
        from: Option<&Next>,
    ) -> Result<(Vec<Version>, Option<Next>)> {
        let mut query = format!("versions=&prefix={}", encode(prefix, false));
        if let Some(next) = from {
            query.push_str(&format!("&key-marker={}", encode(&next.key, false)));
            if let Some(version) = &next.version {
                query.push_str(&format!("&version-id-marker={}", encode(version, false)));
            }
        }
        let (status, text) = self.send("GET", &format!("{}?{query}", self.bucket), None).await?;
        if status != 200 {
            return Err(failure::of_status(&self.name, "", status, &xml::error_code(&text)));
        }
        xml::versions(&text).map_err(|why| Error::Failed {
            store: self.name.clone(),
            what: "listing versions".to_owned(),
            why,
        })
    }

    /// Deletes exactly this version or marker; one that is gone already counts as deleted. A version
    /// without an id of its own (a bucket without versions) is deleted only if it is still the one that
    /// was listed, where the store checks that.
    pub(super) async fn delete(&self, full_key: &str, version: &Version) -> Result<()> {
        super::cloud::check_key(full_key).map_err(|why| Error::Failed {
            store: self.name.clone(),
            what: "a key".to_owned(),
            why: why.to_owned(),
        })?;
        let url =
            format!("{}/{}?versionId={}", self.bucket, encode(full_key, true), encode(&version.id, false));
        let condition = (version.id == "null" && !version.marker && !version.etag.is_empty())
            .then_some(version.etag.as_str());
        // CRASH: the version is gone or not; deleting it again is the same.
        let (mut status, mut text) = self.send("DELETE", &url, condition).await?;
        if status == 501 && condition.is_some() {
            (status, text) = self.send("DELETE", &url, None).await?;
        }
        match status {
            200 | 204 | 404 => Ok(()),
            _ => Err(failure::of_status(&self.name, &version.key, status, &xml::error_code(&text))),
        }
    }

    /// Sends a request until it is answered by something else than 429 or a server's failure.
    async fn send(&self, method: &str, url: &str, if_match: Option<&str>) -> Result<(u16, String)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self.send_once(method, url, if_match).await;
            let worth_it = match &answer {
                Ok((status, _)) => *status == 429 || (*status >= 500 && *status != 501),
                Err(error) => error.is_unreachable(),
            };
            if !worth_it || tries >= TRIES_MAX {
                return answer;
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
        }
    }

    async fn send_once(&self, method: &str, url: &str, if_match: Option<&str>) -> Result<(u16, String)> {
        let wrong =
            |what: &str| Error::Setting { what: format!("objects: {}: {what} can't be sent", self.name) };
        let credential = self.credentials.get_credential().await;
        let credential = credential.map_err(|e| failure::of_cloud(&self.name, "", &e))?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.parse().map_err(|_| wrong("the method"))?;
        *request.uri_mut() = url.parse().map_err(|_| wrong("the address"))?;
        if let Some(etag) = if_match {
            request.headers_mut().insert("if-match", etag.parse().map_err(|_| wrong("the ETag"))?);
        }
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|_| wrong("a signature"))?;
        let lost = |e: &object_store::client::HttpError| Error::Unreachable {
            store: self.name.clone(),
            why: failure::in_full(e),
        };
        let answer = self.http.execute(request).await.map_err(|e| lost(&e))?;
        let status = answer.status().as_u16();
        let (mut body, mut bytes) = (answer.into_body().bytes_stream(), Vec::new());
        while let Some(more) = body.try_next().await.map_err(|e| lost(&e))? {
            bytes.extend_from_slice(&more);
            if bytes.len() > ANSWER_BYTES {
                return Err(wrong("an answer this long"));
            }
        }
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// Percent-encodes what RFC 3986 doesn't call unreserved, `/` as asked.
fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b'/' if keep_slash => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_in_addresses() {
        assert_eq!(super::encode("a b/%41+é", true), "a%20b/%2541%2B%C3%A9");
        assert_eq!(super::encode("a/b", false), "a%2Fb");
    }
}
