//! The gateway under measurement: a process of its own, as `domicile serve --gateway` is, with what it asks for made before.

use super::peers::Origin;
use crate::Fallible;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domicile_directory::{Directory, DirectoryKey};
use domicile_server::directory::Spelling;
use domicile_server::edge::{EdgeCache, EdgeSettings, PublicRoute};
use domicile_server::gateway::{Gateway, JwtRule, Keys, Limits, Settings, SubjectRule, Upstream};
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_stores::control::ControlStore;
use domicile_stores::records::SubjectId;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Subjects that ask.
const SUBJECTS: u32 = 1000;
/// The service.
const SERVICE: &str = "shop";

/// The directory in the folder, with a key of its own.
pub async fn directory(folder: &Path) -> Fallible<Arc<Directory>> {
    let file = folder.join("directory.key");
    if !file.exists() {
        std::fs::write(&file, DirectoryKey::generate()?.to_file().as_bytes())?;
    }
    let key = DirectoryKey::from_file(&std::fs::read(&file)?)?;
    let store = ControlStore::open("sqlite:control.db", folder, None).await?;
    let directory = Arc::new(Directory::open(store, key));
    directory.migrate().await?;
    Ok(directory)
}

/// Homes, an issuer's keys, and a token for each subject; the file of tokens.
pub async fn prepare(folder: &Path, origin: &Origin) -> Fallible<PathBuf> {
    let subjects: Vec<SubjectId> = (0..SUBJECTS).map(|n| SubjectId(n.to_string())).collect();
    directory(folder).await?.register(SERVICE, "home", &subjects).await?;
    std::fs::write(folder.join("origin.url"), format!("http://127.0.0.1:{}", origin.port))?;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k1", "use": "sig"}]});
    std::fs::write(folder.join("jwks.json"), keys.to_string())?;
    let key = EncodingKey::from_ed_der(&pair.serialize_der());
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) };
    let expires = jiff::Timestamp::now().as_second() + 24 * 3600;
    let token =
        |n: u32| encode(&header, &json!({"sub": n.to_string(), "exp": expires, "iss": "bench"}), &key);
    let tokens = (0..SUBJECTS).map(token).collect::<Result<Vec<_>, _>>()?;
    let file = folder.join("tokens");
    std::fs::write(&file, tokens.join("\n"))?;
    Ok(file)
}

/// Serves until it is killed.
pub async fn run(folder: &str, port: &str) -> Fallible<()> {
    let folder = Path::new(folder);
    let gateway = Gateway::start(directory(folder).await?, settings(folder)?).await?;
    let address = format!("127.0.0.1:{port}").parse()?;
    let listener = Listener::bind(address, None, false, ConnectionLimits::default())?;
    serve(listener, Stop::default(), move |peer, request| gateway.clone().answer(peer, request)).await;
    Ok(())
}

fn settings(folder: &Path) -> Fallible<Settings> {
    let keys = Keys::read(&folder.join("jwks.json"))?;
    let limits = Limits::default();
    let rule = JwtRule::new(keys, "sub".into(), limits.tokens).of_issuer(Some("bench".into()));
    let origin = std::fs::read_to_string(folder.join("origin.url"))?;
    let edge =
        EdgeSettings { routes: vec![PublicRoute::new("/public/", "public")], ..EdgeSettings::default() };
    Ok(Settings {
        service: SERVICE.into(),
        name: "bench".into(),
        upstreams: BTreeMap::from([("home".into(), Upstream { address: origin.parse()? })]),
        subject: vec![SubjectRule::Jwt(Box::new(rule))],
        spelling: Spelling::Integer,
        sign_up: None,
        logins: Vec::new(),
        edge: Some(EdgeCache::new(edge)?),
        stands_in: Some("home".into()),
        well_known: None,
        trusts_forwarded: false,
        limits,
    })
}
