//! Commands about what is public: a CDN's rules, the manifest of genuine endpoints.

use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `domicile cdn ...`.
#[derive(Debug, Subcommand)]
pub enum CdnCommand {
    /// Write the rules of the declared public routes for a CDN that is already there
    #[command(after_help = EXPORT)]
    Export(ExportArgs),
    /// Test from outside that a CDN obeys them
    #[command(after_help = CHECK)]
    Check(CdnCheckArgs),
}

const EXPORT: &str = "\
nginx: a file to include in the http block. varnish: a whole VCL program. What the product can't
do is said in the first lines of `domicile cdn check`'s notes. With --country the policies are
asked whether each route may be cached there; one that may not is left out.

Examples:
  domicile cdn export --format nginx --origin https://app.example -o /etc/nginx/conf.d/domicile.conf
  domicile cdn export --format varnish --origin http://127.0.0.1:8080 --country SG --country US";

const CHECK: &str = "\
Asks for public and private paths, with cookies and credentials, and for paths that can be read in
two ways, twice each, under names that are new each time. Exit code 3 where something was kept or
forwarded that must not be. A CDN that is not in use yet is best pointed at --echo: an origin that
says what reached it, run by this command.

Examples:
  domicile cdn check https://www.shop.example --private /account --public /static/app.css
  domicile cdn check http://127.0.0.1:8081 --echo 127.0.0.1:9000";

/// What rules are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CdnFormat {
    /// nginx's proxy_cache
    Nginx,
    /// Varnish's VCL
    Varnish,
}

/// `domicile cdn export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// For which product
    #[arg(long, value_enum)]
    pub format: CdnFormat,
    /// The origin behind it: http://HOST[:PORT] or https://HOST; else the first region's endpoint
    #[arg(long, value_name = "URL")]
    pub origin: Option<String>,
    /// Where nginx listens, in its own words
    #[arg(long, value_name = "ADDR", default_value = "80")]
    pub listen: String,
    /// The folder of nginx's cache
    #[arg(long, value_name = "DIR", default_value = "/var/cache/nginx/domicile")]
    pub store: String,
    /// A country where the CDN keeps copies; may be repeated
    #[arg(long, value_name = "CC")]
    pub country: Vec<String>,
    /// Where to write; by default to stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `domicile cdn check`.
#[derive(Debug, Args)]
pub struct CdnCheckArgs {
    /// The CDN: http://HOST[:PORT] or https://HOST, without a path
    pub url: String,
    /// The host to ask for, where it is not the URL's
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// A public path that exists; may be repeated
    #[arg(long, value_name = "PATH")]
    pub public: Vec<String>,
    /// A private path that exists; may be repeated
    #[arg(long, value_name = "PATH")]
    pub private: Vec<String>,
    /// Be the origin behind it meanwhile, at this address
    #[arg(long, value_name = "ADDR")]
    pub echo: Option<SocketAddr>,
}

/// `domicile manifest ...`.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Sign the manifest: the regions' endpoints, and the shops and sellers of [manifest]
    #[command(after_help = SIGN)]
    Sign {
        /// Where to write; replaced where it exists; by default to stdout
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Verify a manifest: a file, offline, or a URL
    #[command(after_help = VERIFY)]
    Verify {
        /// A file, or https://...
        from: String,
        /// Public keys to trust: files, or folders with *.pub
        #[arg(long = "key", value_name = "PATH", num_args = 1..)]
        keys: Vec<PathBuf>,
    },
    /// Write the page that people read, from a manifest that verifies
    #[command(
        after_help = "One HTML file without scripts; the gateway serves the same at /.well-known/domicile.html.\n\nExample:\n  domicile manifest page domicile.json -o genuine.html"
    )]
    Page {
        /// The signed manifest
        file: PathBuf,
        /// Where to write; replaced where it exists; by default to stdout
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Public keys to trust: files, or folders with *.pub
        #[arg(long = "key", value_name = "PATH", num_args = 1..)]
        keys: Vec<PathBuf>,
    },
}

const SIGN: &str = "\
Signs with keys/manifest.key, which is made when it is first needed; keys/manifest.pub is for
everybody: print it on the box. It holds from now on, for `days` of [manifest]. Serve the file at
/.well-known/domicile.json.

Example:
  domicile manifest sign -o domicile.json";

const VERIFY: &str = "\
Without --key the public key beside the configuration is trusted (keys/manifest.pub). Exit code 3
where it must not be believed: a changed byte, an unknown key, an expired manifest.

Examples:
  domicile manifest verify domicile.json
  domicile manifest verify https://www.shop.example/.well-known/domicile.json --key genuine.pub";
