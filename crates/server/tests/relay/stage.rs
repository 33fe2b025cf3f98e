//! Two regions with a relay each in this process.

use crate::site::{REGIONS, SERVICE, Site, TOKEN};
use domicile_messaging::discovery::DiscoveryKey;
use domicile_messaging::region::{Controller, Notice, Terms};
use domicile_messaging::sealing::OpeningKey;
use domicile_messaging::wire::{Key, RegionName, Text};
use domicile_mover::Service;
use domicile_policy::{Latency, Policies};
use domicile_server::directory::Placing;
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_server::messaging::{
    FileSms, MailLimits, MessagingLimits, Relay, RelayKeys, RelayListed, RelayParts, RelaySettings,
    new_service_key, service_key,
};
use domicile_server::token::Tokens;
use domicile_stores::mailboxes::Mailboxes;
use domicile_testbed::free_ports;
use jiff::civil::Date;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const POLICY: &str = r#"
@id("home") @law("law 1") @reason("residents stay in their country")
permit (principal, action, resource) when { principal.residence == resource.country };
"#;

pub struct Stage {
    pub site: Site,
    pub service: Arc<Service>,
    pub relays: Vec<Relay>,
    pub stores: Vec<Arc<Mailboxes>>,
    pub opening: OpeningKey,
    sealing: Key,
    pub listed: Vec<RelayListed>,
    /// Each region's service key and first discovery key, as their files have them.
    texts: Vec<(Zeroizing<String>, Zeroizing<String>)>,
    stops: Vec<Stop>,
}

/// Bounds that tests need not wait for.
pub fn limits() -> MessagingLimits {
    MessagingLimits { filter_every: Duration::from_millis(50), ..MessagingLimits::default() }
}

pub fn terms() -> Terms {
    let text = |text: &str| text.parse::<Text>().unwrap();
    Terms {
        notice: Notice { url: text("https://example.org/n"), sha256: Key([4; 32]), language: text("en") },
        controller: Controller { name: text("Example"), contact: text("privacy@example.org") },
        jurisdiction: text("CN"),
        storage_country: text("CN"),
    }
}

impl Stage {
    /// One on each engine.
    pub async fn both() -> [Self; 2] {
        [Self::with(false, limits()).await, Self::with(true, limits()).await]
    }

    pub async fn with(postgres: bool, limits: MessagingLimits) -> Self {
        let site = tokio::task::block_in_place(|| Site::start(!postgres, &[])).unwrap();
        let service = site.places.service().await.unwrap();
        site.places.adopt(&service).await.unwrap();
        let (opening, sealing) = OpeningKey::generate();
        let (mut secrets, mut texts) = (Vec::new(), Vec::new());
        let mut listed = Vec::new();
        for (region, country) in REGIONS {
            let text = new_service_key().0;
            let service_key = service_key(&text).unwrap();
            let discovery = DiscoveryKey::generate();
            listed.push(RelayListed {
                region: region.parse().unwrap(),
                country: country.parse().unwrap(),
                endpoint: site.places.endpoint(region).parse().unwrap(),
                service_key: service_key.verifying_key(),
                generations: vec![(1, discovery.public_key(), None)],
            });
            texts.push((text, discovery.to_text()));
            secrets.push(RelayKeys { service: service_key, sealing, discovery: vec![(1, discovery)] });
        }
        let mut stage = Self {
            site,
            service,
            relays: vec![],
            stores: vec![],
            opening,
            sealing,
            listed,
            texts,
            stops: vec![],
        };
        for (nr, keys) in secrets.into_iter().enumerate() {
            stage.open(nr, keys, limits).await;
        }
        stage
    }

    async fn open(&mut self, nr: usize, keys: RelayKeys, limits: MessagingLimits) {
        let places = &self.site.places;
        let (region, _) = REGIONS[nr];
        let mailboxes = Arc::new(Mailboxes::open(&places.mail[region], &places.dir, None).await.unwrap());
        let policies = Policies::parse(&[("rules.cedar".into(), POLICY.into())], &[]).unwrap();
        let regions = self.service.places.clone();
        let categories = vec!["profile".into()];
        let placing = Placing::new(policies, regions, categories, Latency::default(), vec![]);
        let parts = RelayParts {
            mailboxes: mailboxes.clone(),
            directory: places.directory().await.unwrap(),
            placing,
            sms: Box::new(FileSms::new(self.sms())),
        };
        let settings = RelaySettings {
            service: SERVICE.into(),
            region: region.parse().unwrap(),
            keys,
            terms: terms(),
            relays: self.listed.clone(),
            relay_tokens: Tokens::read(TOKEN).unwrap(),
            relay_token: TOKEN.to_owned().into(),
        };
        let stop = Stop::default();
        let started = Relay::start(settings, parts, (limits, MailLimits::default()), stop.clone()).await;
        let relay = started.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], places.ports[region]));
        let listener = Listener::bind(address, None, false, ConnectionLimits::default()).unwrap();
        let answering = relay.clone();
        tokio::spawn(serve(listener, stop.clone(), move |_, request| {
            let relay = answering.clone();
            async move { relay.answer(request).await }
        }));
        self.relays.push(relay);
        self.stores.push(mailboxes);
        self.stops.push(stop);
    }

    /// The first region's relay is started anew with a second discovery key; the first one is served until that day.
    pub async fn rolls(&mut self, second: &DiscoveryKey, until: Option<Date>) {
        self.stops.iter().for_each(Stop::stop);
        let key = |text: &str| text.parse::<DiscoveryKey>().expect("a key");
        let first = key(&self.texts[0].1);
        let second = key(&second.to_text());
        self.listed[0].generations = vec![(1, first.public_key(), until), (2, second.public_key(), None)];
        let (sealing, service) = (self.sealing, service_key(&self.texts[0].0).unwrap());
        let keys = RelayKeys { service, sealing, discovery: vec![(1, first), (2, second)] };
        // Elsewhere: whether the old one has let go of its port is not waited for.
        let [port] = free_ports::<1>();
        self.site.places.ports.insert(REGIONS[0].0.to_owned(), port);
        self.listed[0].endpoint = self.url(0).parse().unwrap();
        (self.relays, self.stores, self.stops) = (vec![], vec![], vec![]);
        self.open(0, keys, limits()).await;
    }

    pub fn url(&self, region: usize) -> String {
        self.site.places.endpoint(REGIONS[region].0)
    }

    /// What a region signs with.
    pub fn service_key(&self, region: usize) -> domicile_messaging::SigningKey {
        service_key(&self.texts[region].0).unwrap()
    }

    pub fn region(&self, region: usize) -> RegionName {
        self.listed[region].region.clone()
    }

    /// The file of text messages.
    pub fn sms(&self) -> PathBuf {
        self.site.places.dir.join("sms.jsonl")
    }

    /// The last code that was sent to a number.
    pub fn code(&self, number: &str) -> String {
        let text = std::fs::read_to_string(self.sms()).unwrap();
        let mut sent = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let last = sent.rfind(|sms| sms["to"] == number).expect("a text message");
        last["text"].as_str().unwrap()[..8].to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stops.iter().for_each(Stop::stop);
    }
}
