use super::*;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn manifest() -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        version: MANIFEST_VERSION,
        name: "Shop Example".to_owned(),
        issued: at("2014-10-22T00:00:00Z"),
        expires: at("2015-01-20T00:00:00Z"),
        endpoints: vec![Endpoint {
            region: "mumbai".to_owned(),
            country: "IN".to_owned(),
            operator: "IN".to_owned(),
            url: "https://in.api.shop.example".to_owned(),
        }],
        shops: vec![Shop {
            name: "Shop Example India".to_owned(),
            url: "https://in.shop.example/".to_owned(),
            country: Some("IN".to_owned()),
        }],
        sellers: vec![Seller { name: "Bazaar & Sons".to_owned(), country: "IN".to_owned(), url: None }],
        signers: vec![],
    }
}

/// A key that is the same in every run: the file below is one that others can verify, too.
fn key() -> SigningKey {
    SigningKey::from_text("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
        .unwrap()
}

fn trusted() -> Vec<VerifyingKey> {
    vec![key().verifying_key().clone()]
}

const NOW: &str = "2014-11-01T00:00:00Z";

fn verified(text: &str) -> Result<Manifest, ManifestError> {
    verify_manifest(text.as_bytes(), &trusted(), at(NOW))
}

#[test]
fn what_was_signed_verifies_and_reads_as_it_should() {
    let text = manifest().sign(&[&key()]).unwrap();
    assert_eq!(verified(&text).unwrap(), Manifest { signers: trusted(), ..manifest() });
    assert!(
        text.starts_with(
            "{\n  \"manifest\": {\n    \"format\": \"domicile-manifest\",\n    \"version\": 1,\n"
        )
    );
    assert!(text.contains(
        "\n    \"issued\": \"2014-10-22T00:00:00Z\",\n    \"expires\": \"2015-01-20T00:00:00Z\",\n"
    ));
    assert_eq!(manifest().sign(&[&key()]).unwrap(), text, "Ed25519 draws nothing");
}

#[test]
fn every_changed_byte_is_refused() {
    let text = manifest().sign(&[&key()]).unwrap().into_bytes();
    for at_byte in 0..text.len() {
        for flip in [1_u8, 4, 32, 128] {
            let mut changed = text.clone();
            changed[at_byte] ^= flip;
            assert!(verify_manifest(&changed, &trusted(), at(NOW)).is_err(), "byte {at_byte} ^ {flip}");
        }
        let mut shorter = text.clone();
        shorter.remove(at_byte);
        assert!(verify_manifest(&shorter, &trusted(), at(NOW)).is_err(), "without byte {at_byte}");
        for byte in [b' ', b'\n', b'0'] {
            let mut longer = text.clone();
            longer.insert(at_byte, byte);
            assert!(verify_manifest(&longer, &trusted(), at(NOW)).is_err(), "{byte} before {at_byte}");
        }
    }
}

#[test]
fn each_refusal_says_why() {
    let text = manifest().sign(&[&key()]).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        verified(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert!(changed("in.api.shop", "in.api.sh0p").contains("`PeterNeumann` does not hold"));
    assert!(changed("\"name\":", "\"nmae\":").contains("unknown field `nmae`"));
    assert!(
        changed("\"version\": 1,", "\"version\": 1,\n    \"version\": 1,")
            .contains("duplicate field `version`")
    );
    assert!(changed("\"version\": 1,", "\"version\": 1, ").contains("its bytes were changed"));
    assert!(changed("\"version\": 1", "\"version\": 2").contains("another format or version"));
    assert!(changed("https://in.api", "http://in.api").contains("must begin with https://"));
    assert!(changed("\"signatures\": [", "\"signature\": [").contains("unknown field `signature`"));
    assert!(verified("{").unwrap_err().to_string().starts_with("line 1, column"));
    assert!(verified(&format!("{text} ")).unwrap_err().to_string().contains("bytes were changed"));
    assert_eq!(verified(&format!("{text}x")).unwrap_err().to_string().split(',').next(), Some("line 38"));
}

#[test]
fn its_time_and_its_signer_count() {
    let text = manifest().sign(&[&key()]).unwrap();
    let on = |now: &str| verify_manifest(text.as_bytes(), &trusted(), at(now));
    assert!(on("2014-10-21T23:56:00Z").is_ok(), "clocks differ a little");
    assert!(matches!(on("2014-10-21T23:50:00Z"), Err(ManifestError::NotYet { .. })));
    assert!(on("2015-01-19T23:59:59Z").is_ok());
    assert!(matches!(on("2015-01-20T00:00:00Z"), Err(ManifestError::Expired { .. })));
    let by = |keys: &[VerifyingKey]| verify_manifest(text.as_bytes(), keys, at(NOW)).unwrap_err();
    let other = SigningKey::generate("other").unwrap();
    assert_eq!(by(&[]), ManifestError::Untrusted { names: vec!["PeterNeumann".to_owned()] });
    assert!(matches!(by(&[other.verifying_key().clone()]), ManifestError::Untrusted { .. }));
    let impostor = SigningKey::generate("PeterNeumann").unwrap();
    assert!(matches!(by(&[impostor.verifying_key().clone()]), ManifestError::Impostor { .. }));
}

#[test]
fn two_keys_sign_while_they_change() {
    let new = SigningKey::generate("shop.example/manifest").unwrap();
    let text = manifest().sign(&[&key(), &new]).unwrap();
    for trusted in [key().verifying_key().clone(), new.verifying_key().clone()] {
        assert!(verify_manifest(text.as_bytes(), &[trusted], at(NOW)).is_ok());
    }
    // One of the two can't be taken away.
    let mut signed: Signed = serde_json::from_str(&text).unwrap();
    signed.signatures.pop();
    assert!(verified(&signed.print().unwrap()).is_err());
    signed.manifest.signers.pop();
    assert!(matches!(verified(&signed.print().unwrap()), Err(ManifestError::Signature { .. })));
    assert!(manifest().sign(&[]).is_err());
    assert!(manifest().sign(&[&key(), &key()]).is_err());
}

#[test]
fn what_cant_stand_in_one_is_not_signed() {
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest();
        change(&mut manifest);
        manifest.sign(&[&key()]).unwrap_err().to_string()
    };
    for (address, says) in [
        ("http://shop.example", "https://"),
        ("https://", "host"),
        ("https://user@shop.example", "host"),
        ("https://Shop.example", "small letters"),
        ("https://shöp.example", "ASCII"),
        ("https://shop.example/<x>", "ASCII"),
        ("https://shop.example/\"x", "ASCII"),
        ("javascript:alert(1)", "https://"),
        ("http://localhost.evil.example", "https://"),
        ("http://127.0.0.1.evil.example/", "https://"),
    ] {
        let said = refused(&|m| m.shops[0].url = address.to_owned());
        assert!(said.contains(says), "{address}: {said}");
    }
    assert!(refused(&|m| m.name = "a\u{202e}b".to_owned()).contains("control"));
    assert!(refused(&|m| m.name = " ".to_owned()).contains("the name"));
    assert!(refused(&|m| m.endpoints[0].country = "in".to_owned()).contains("ISO 3166-1"));
    assert!(refused(&|m| m.endpoints.push(m.endpoints[0].clone())).contains("twice"));
    assert!(refused(&|m| m.expires = m.issued).contains("before it was issued"));
    assert!(refused(&|m| m.expires = at("2016-01-01T00:00:00Z")).contains("400 days"));
    assert!(refused(&|m| m.issued = at("2014-10-22T00:00:00.5Z")).contains("whole seconds"));
    let mut local = manifest();
    local.endpoints[0].url = "http://127.0.0.1:8080".to_owned();
    assert!(local.sign(&[&key()]).is_ok(), "loopback, to try it");
}

proptest! {
    /// Whatever bytes come, it answers, and never with yes.
    #[test]
    fn no_bytes_are_believed_by_chance(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..1200) {
        prop_assert!(verify_manifest(&bytes, &trusted(), at(NOW)).is_err());
        let text = manifest().sign(&[&key()]).unwrap().into_bytes();
        let mut spliced = text[..cut.min(text.len() - 1)].to_vec();
        spliced.extend(&bytes);
        prop_assert!(spliced == text || verify_manifest(&spliced, &trusted(), at(NOW)).is_err());
    }
}

/// A manifest of 2014 that the command line's tests verify, too.
#[test]
fn an_old_manifest_is_still_read() {
    let old = include_str!("../../../cli/tests/all/expired.json");
    assert_eq!(manifest().sign(&[&key()]).unwrap(), old);
    assert_eq!(verified(old).unwrap().name, "Shop Example");
}
