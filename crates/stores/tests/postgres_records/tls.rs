//! TLS: rows and passwords travel encrypted, to the server whose certificate was asked for.

use domicile_stores::Error;
use domicile_stores::postgres::Postgres;
use domicile_testbed::postgres::Cluster;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

/// A cluster of its own with a certificate for 127.0.0.1; the certificate's file.
fn encrypted() -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let data = cluster.dir().join("data");
    let (key, cert) = (data.join("server.key"), data.join("server.crt"));
    domicile_testbed::run(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=region"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&cert),
    );
    let owner = fs::metadata(&data).expect("the data folder");
    for file in [&key, &cert] {
        chown(file, Some(owner.uid()), Some(owner.gid())).expect("chown");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    let public = cluster.dir().join("root.pem");
    fs::copy(&cert, &public).expect("a copy of the certificate");
    cluster.sql("postgres", "alter system set ssl = on");
    cluster.sql("postgres", "select pg_reload_conf()");
    (cluster, public)
}

#[tokio::test]
async fn only_a_certificate_that_is_trusted_will_do() {
    let (cluster, root) = encrypted();
    let url = cluster.url("postgres", "postgres");
    let trusted = format!("{url}?sslmode=verify-full&sslrootcert={}", root.display());
    // The server takes the new setting a moment after the reload.
    let mut tries = 0;
    while let Err(e) = Postgres::catalogue_of(&trusted, None).await {
        tries += 1;
        assert!(tries < 1_200, "{e}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let unknown = Postgres::catalogue_of(&format!("{url}?sslmode=require"), None).await.unwrap_err();
    assert!(matches!(&unknown, Error::Unreachable { why, .. } if why.contains("certificate")), "{unknown:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_wanted() {
    let url = crate::cluster().url("mover", "postgres");
    let refused = Postgres::catalogue_of(&format!("{url}?sslmode=require"), None).await.unwrap_err();
    assert!(refused.is_unreachable(), "{refused:?}");
}
