//! From a store's error to what the caller can do about it.

use crate::Error;
use object_store::client::HttpError;
use std::error::Error as StdError;
use std::io;

/// Maps an error of crate object_store. A key may stand in an error's own field, nowhere else.
pub(super) fn of_cloud(store: &str, key: &str, error: &object_store::Error) -> Error {
    use object_store::Error as E;
    let store = store.to_owned();
    match error {
        E::NotFound { .. } => Error::NotFound { store, key: key.to_owned() },
        E::Precondition { .. } | E::NotModified { .. } => Error::Changed { store, key: key.to_owned() },
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => denied(store),
        error => of_http(store, key, error),
    }
}

pub(super) fn denied(store: String) -> Error {
    let grant = "allow listing the bucket with its versions, and getting, putting and deleting objects and \
                 their versions (S3: s3:ListBucket, s3:ListBucketVersions, s3:GetObject, s3:PutObject, \
                 s3:DeleteObject, s3:DeleteObjectVersion); or check the credentials in the environment";
    Error::Denied { store, what: "an object or the bucket".to_owned(), grant: grant.to_owned() }
}

/// The store answered with this status to a request of ours.
pub(super) fn of_status(store: &str, key: &str, status: u16, code: &str) -> Error {
    let (store, answer) = (store.to_owned(), format!("it answered {status} {code}"));
    let why = answer.trim_end().to_owned();
    match status {
        401 | 403 => denied(store),
        404 => Error::NotFound { store, key: key.to_owned() },
        409 | 412 => Error::Changed { store, key: key.to_owned() },
        507 => Error::Full { store },
        500.. => Error::Unreachable { store, why },
        _ => Error::Failed { store, what: "an object".to_owned(), why },
    }
}

fn of_http(store: String, key: &str, error: &object_store::Error) -> Error {
    let text = error.to_string();
    if text.contains("status code: 507") || text.contains("QuotaExceeded") || text.contains("StorageFull") {
        return Error::Full { store };
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(http) = one.downcast_ref::<HttpError>() {
            return Error::Unreachable { store, why: in_full(http) };
        }
        cause = one.source();
    }
    let status = text.split("status code: ").nth(1).and_then(|rest| rest.get(..3));
    match status.and_then(|status| status.parse::<u16>().ok()) {
        // Its other words may hold the key, in the address of the request.
        Some(status) => of_status(&store, key, status, ""),
        None => Error::Failed { store, what: "an object".to_owned(), why: kind_of(error).to_owned() },
    }
}

fn kind_of(error: &object_store::Error) -> &'static str {
    use object_store::Error as E;
    match error {
        E::InvalidPath { .. } => "the store can't hold such a key",
        E::NotSupported { .. } | E::NotImplemented { .. } => "the store can't do this",
        E::AlreadyExists { .. } => "another request was in the way",
        E::UnknownConfigurationKey { .. } => "an unknown setting",
        _ => "the store's answer can't be understood",
    }
}

/// An HTTP error with its causes; its own words name no address.
pub(super) fn in_full(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(&format!(": {words}"));
        }
        cause = next.source();
    }
    text
}

/// Maps a file's error.
pub(super) fn of_file(store: &str, key: &str, what: &str, error: &io::Error) -> Error {
    let store = store.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound { store, key: key.to_owned() },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { store },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let folder = store.strip_prefix("file:").unwrap_or(&store).to_owned();
            Error::Denied { what: what.to_owned(), grant: format!("chmod -R u+rwX '{folder}'"), store }
        }
        _ => Error::Failed { store, what: what.to_owned(), why: error.to_string() },
    }
}
