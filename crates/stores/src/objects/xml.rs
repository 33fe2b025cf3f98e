//! S3's answer to `GET ?versions` (API reference: ListObjectVersions).

use super::Version;
use serde::Deserialize;

/// One page of versions and delete markers, by key; a key's newest first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    #[serde(default, rename = "Version")]
    versions: Vec<Entry>,
    #[serde(default, rename = "DeleteMarker")]
    markers: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    version_id: String,
    is_latest: bool,
    #[serde(default, rename = "ETag")]
    etag: String,
    #[serde(default)]
    size: u64,
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub key: String,
    pub version: Option<String>,
}

/// Reads a page. A page that says there is more but not where is an error, since the rest would be missed.
pub(super) fn versions(text: &str) -> Result<(Vec<Version>, Option<Next>), String> {
    let page: Page = quick_xml::de::from_str(text).map_err(|e| e.to_string())?;
    let read = |entry: Entry, marker: bool| Version {
        key: entry.key,
        id: entry.version_id,
        marker,
        latest: entry.is_latest,
        size: entry.size,
        etag: entry.etag,
    };
    let versions = page.versions.into_iter().map(|entry| read(entry, false));
    let all: Vec<_> = versions.chain(page.markers.into_iter().map(|entry| read(entry, true))).collect();
    if all.iter().any(|version| version.id.is_empty() || version.key.is_empty()) {
        return Err("a version without a key or an id".to_owned());
    }
    let next = match (page.is_truncated, page.next_key_marker) {
        (false, _) => None,
        (true, Some(key)) if !key.is_empty() => {
            Some(Next { key, version: page.next_version_id_marker.filter(|v| !v.is_empty()) })
        }
        (true, _) => return Err("a list that goes on without saying where".to_owned()),
    };
    Ok((all, next))
}

/// The `Code` of an error's answer, where it can be read.
pub(super) fn error_code(text: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Told {
        code: String,
    }
    let code = quick_xml::de::from_str::<Told>(text).map(|told| told.code).unwrap_or_default();
    code.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_everything() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Name>b</Name><Prefix>p</Prefix><IsTruncated>true</IsTruncated><MaxKeys>3</MaxKeys>
              <NextKeyMarker>p/b&amp;c</NextKeyMarker><NextVersionIdMarker>v9</NextVersionIdMarker>
              <Version><Key>p/a &lt;1&gt;</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest>
                <LastModified>2014-10-01T00:00:00.000Z</LastModified><ETag>&quot;e1&quot;</ETag><Size>7</Size>
                <Owner><ID>x</ID></Owner></Version>
              <DeleteMarker><Key>p/a &lt;1&gt;</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest></DeleteMarker>
              <Version><Key>p/&#233;</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>
                <ETag>"e3"</ETag><Size>0</Size></Version>
            </ListVersionsResult>"#;
        let (all, next) = versions(text).unwrap();
        let told: Vec<_> = all.iter().map(|v| (v.key.as_str(), v.id.as_str(), v.marker, v.size)).collect();
        assert_eq!(
            told,
            [("p/a <1>", "v1", false, 7), ("p/é", "null", false, 0), ("p/a <1>", "v2", true, 0)]
        );
        assert_eq!((all[0].etag.as_str(), all[1].etag.as_str()), ("\"e1\"", "\"e3\""));
        assert_eq!(next, Some(Next { key: "p/b&c".into(), version: Some("v9".into()) }));
    }

    #[test]
    fn an_answer_that_hides_something_is_refused() {
        let wrap = |inner: &str| format!("<ListVersionsResult>{inner}</ListVersionsResult>");
        assert_eq!(versions(&wrap("")).unwrap(), (vec![], None));
        for bad in [
            "<IsTruncated>true</IsTruncated>",
            "<Version><Key>a</Key><IsLatest>true</IsLatest></Version>",
            "<Version><Key>a</Key><VersionId></VersionId><IsLatest>true</IsLatest></Version>",
            "<Version><Key>a</Key><VersionId>v</VersionId>",
            "<Version><Key>&undefined;</Key><VersionId>v</VersionId><IsLatest>true</IsLatest></Version>",
        ] {
            assert!(versions(&wrap(bad)).is_err(), "{bad}");
        }
        assert!(versions("not xml").is_err());
    }

    #[test]
    fn an_errors_code() {
        assert_eq!(error_code("<Error><Code>NoSuchBucket</Code><Key>secret</Key></Error>"), "NoSuchBucket");
        assert_eq!(error_code("<html>"), "");
    }
}
