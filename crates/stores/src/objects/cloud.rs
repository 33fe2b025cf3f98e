//! Buckets by the crate object_store: S3, Google Cloud Storage, Azure.

use super::address::{Bucket, Kind};
use super::signed::Signed;
use super::sink::Upload;
use super::{Meta, Reading, failure};
use crate::{Error, Result};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{ClientOptions, HttpConnector, ReqwestConnector};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{Attributes, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// Tries of one request, and how long they may take together.
const RETRIES_MAX: usize = 4;
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a connection, and for the next bytes of an answer.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const READ_MAX: Duration = Duration::from_secs(60);
/// Longest time for one request: a part of 8 MiB at 0.3 Mbit/s.
const REQUEST_MAX: Duration = Duration::from_secs(240);

/// Variables of the environment that a kind of store asks for.
const S3_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
const GOOGLE_VARIABLES: &[&str] =
    &["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"];
const AZURE_VARIABLES: &[&str] = &[
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
];

#[derive(Clone)]
pub(super) struct Cloud {
    name: Arc<str>,
    prefix: Arc<str>,
    store: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
    /// What object_store can't do; S3 only.
    pub(super) signed: Option<Arc<Signed>>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cloud").field(&self.name).finish()
    }
}

type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

impl Cloud {
    pub(super) async fn open(bucket: Bucket, environment: Variables<'_>) -> Result<Self> {
        // The first one in a process is the process's; whoever was quicker installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cloud = match bucket.kind {
            Kind::S3 => s3(&bucket, environment),
            Kind::Google => google(&bucket, environment),
            Kind::Azure => azure(&bucket, environment),
        };
        let cloud = cloud.map_err(|e| match e {
            // Its words name a setting, never a value.
            e @ (object_store::Error::Generic { .. }
            | object_store::Error::UnknownConfigurationKey { .. }) => {
                Error::Setting { what: format!("objects: {e}") }
            }
            e => failure::of_cloud(&bucket_name(&bucket), "", &e),
        })?;
        cloud.probe().await?;
        Ok(cloud)
    }

    fn new<S: ObjectStore + PaginatedListStore + Clone>(
        bucket: &Bucket,
        store: S,
        signed: Option<Signed>,
    ) -> Self {
        Self {
            name: bucket_name(bucket).into(),
            prefix: bucket.prefix.as_str().into(),
            store: Arc::new(store.clone()),
            pages: Arc::new(store),
            signed: signed.map(Arc::new),
        }
    }

    /// One key, to learn at once whether the bucket is there and may be listed.
    async fn probe(&self) -> Result<()> {
        let options = PaginatedListOptions { max_keys: Some(1), ..Default::default() };
        let prefix = (!self.prefix.is_empty()).then_some(&*self.prefix);
        match self.pages.list_paginated(prefix, options).await.map_err(|e| self.failed("", &e)) {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) => {
                Err(Error::Setting { what: format!("objects: {}: there is no such bucket", self.name) })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn whole(&self) -> super::Whole {
        super::Whole::Bucket { store: Arc::clone(&self.store), prefix: self.prefix.to_string() }
    }

    pub(super) fn name(&self) -> String {
        self.name.to_string()
    }

    pub(super) fn failed(&self, key: &str, error: &object_store::Error) -> Error {
        failure::of_cloud(&self.name, key, error)
    }

    /// The key with the store's prefix.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key without the store's prefix.
    pub(super) fn short<'a>(&self, full: &'a str) -> &'a str {
        full.strip_prefix(&*self.prefix).unwrap_or(full)
    }

    fn path(&self, key: &str) -> Result<Path> {
        let refused = |why: &str| Error::Failed { store: self.name(), what: "a key".into(), why: why.into() };
        check_key(key).map_err(refused)?;
        Path::parse(self.full(key)).map_err(|_| refused("holds a control character"))
    }

    fn meta(&self, found: ObjectMeta) -> Meta {
        let etag = found.e_tag.unwrap_or_else(|| found.last_modified.to_rfc3339());
        let key = self.short(found.location.as_ref()).to_owned();
        Meta { key, size: found.size, etag, version: found.version }
    }

    pub(super) async fn head(&self, key: &str) -> Result<Option<Meta>> {
        match self.store.head(&self.path(key)?).await {
            Ok(found) => Ok(Some(self.meta(found))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed(key, &e)),
        }
    }

    pub(super) fn list(&self, prefix: String) -> BoxStream<'_, Result<Meta>> {
        let full = self.full(&prefix);
        let pages = futures::stream::try_unfold(Some(None::<String>), move |at| {
            let full = full.clone();
            async move {
                let Some(page_token) = at else { return Ok(None) };
                let options = PaginatedListOptions { page_token, ..Default::default() };
                let asked = (!full.is_empty()).then_some(full.as_str());
                let page =
                    self.pages.list_paginated(asked, options).await.map_err(|e| self.failed("", &e))?;
                let found: Vec<_> = page.result.objects.into_iter().map(|o| Ok(self.meta(o))).collect();
                Ok::<_, Error>(Some((futures::stream::iter(found), page.page_token.map(Some))))
            }
        });
        pages.try_flatten().boxed()
    }

    pub(super) async fn read(&self, key: &str) -> Result<Reading<'_>> {
        let answer = self.store.get(&self.path(key)?).await.map_err(|e| self.failed(key, &e))?;
        let (meta, attributes) = (self.meta(answer.meta.clone()), answer.attributes.clone());
        let key = key.to_owned();
        let bytes = answer.into_stream().map_err(move |e| self.failed(&key, &e)).boxed();
        Ok(Reading { meta, attributes, bytes })
    }

    pub(super) fn write(&self, key: &str, size: u64, attributes: Attributes) -> Result<Upload> {
        let path = self.path(key)?;
        Ok(Upload::new(self.name(), key.to_owned(), Arc::clone(&self.store), path, size, attributes))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<bool> {
        match self.store.delete(&self.path(key)?).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(self.failed(key, &e)),
        }
    }
}

/// What of a key neither object_store nor a URL keeps as it is.
pub(super) fn check_key(key: &str) -> std::result::Result<(), &'static str> {
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("has a part that is empty, `.` or `..`");
    }
    if key.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    Ok(())
}

fn bucket_name(bucket: &Bucket) -> String {
    let scheme = match bucket.kind {
        Kind::S3 => "s3",
        Kind::Google => "gs",
        Kind::Azure => "az",
    };
    format!("{scheme}://{}/{}", bucket.name, bucket.prefix)
}

/// Those of the variables that are set, by the name that object_store's settings have.
fn settings(bucket: &Bucket, names: &[&str], environment: Variables<'_>) -> Vec<(String, String)> {
    let read = |name: &&str| {
        let value = environment(&format!("{}{name}", bucket.variables))?;
        Some((name.to_ascii_lowercase(), value))
    };
    names.iter().filter_map(read).collect()
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_MAX)
        .with_read_timeout(READ_MAX)
        .with_timeout(REQUEST_MAX)
        // Plain HTTP was refused, or asked for, when the URL was read.
        .with_allow_http(true)
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_MAX, ..Default::default() }
}

fn s3(bucket: &Bucket, environment: Variables<'_>) -> object_store::Result<Cloud> {
    let mut builder = AmazonS3Builder::new();
    let mut region = "us-east-1".to_owned();
    for (name, value) in settings(bucket, S3_VARIABLES, environment) {
        if matches!(name.as_str(), "aws_region" | "aws_default_region") {
            region.clone_from(&value);
        }
        builder = builder.with_config(name.parse::<AmazonS3ConfigKey>()?, value);
    }
    region = bucket.region.clone().unwrap_or(region);
    let endpoint = bucket.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    // TLS keeps the bytes whole; without it the signature does.
    let unsigned = endpoint.starts_with("https://");
    let store = builder
        .with_bucket_name(&bucket.name)
        .with_region(&region)
        .with_endpoint(&endpoint)
        .with_unsigned_payload(unsigned)
        .with_client_options(client())
        .with_retry(retry())
        .build()?;
    let http = ReqwestConnector::default().connect(&client())?;
    let signed = Signed {
        http,
        credentials: Arc::clone(store.credentials()),
        region,
        bucket: format!("{endpoint}/{}", bucket.name),
        name: bucket_name(bucket),
    };
    Ok(Cloud::new(bucket, store, Some(signed)))
}

fn google(bucket: &Bucket, environment: Variables<'_>) -> object_store::Result<Cloud> {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in settings(bucket, GOOGLE_VARIABLES, environment) {
        builder = builder.with_config(name.parse::<GoogleConfigKey>()?, value);
    }
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
    }
    let builder = builder.with_bucket_name(&bucket.name).with_client_options(client()).with_retry(retry());
    Ok(Cloud::new(bucket, builder.build()?, None))
}

fn azure(bucket: &Bucket, environment: Variables<'_>) -> object_store::Result<Cloud> {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in settings(bucket, AZURE_VARIABLES, environment) {
        builder = builder.with_config(name.parse::<AzureConfigKey>()?, value);
    }
    if let Some(account) = &bucket.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let builder = builder.with_container_name(&bucket.name).with_client_options(client()).with_retry(retry());
    Ok(Cloud::new(bucket, builder.build()?, None))
}
