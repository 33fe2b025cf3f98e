//! Receipts: any byte changed is found, and so is a stranger's signature.

use crate::shop::Shop;
use insta::assert_snapshot;

fn moved() -> (Shop, String) {
    let shop = Shop::ready(1);
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    let file = "receipts/w1.receipts".to_owned();
    (shop, file)
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let (shop, file) = moved();
    let good = std::fs::read(shop.path(&file)).expect("the receipts");
    // The ledger's own tests change every byte; here the way through the command is what is tested.
    for part in 0..23 {
        let mut bad = good.clone();
        bad[part * (good.len() - 1) / 22] ^= 1;
        std::fs::write(shop.path("bad.receipts"), &bad).expect("a copy");
        let ran = shop.run(&["receipt", "verify", "bad.receipts"]);
        assert_eq!(ran.code, 3, "part {part}\n{}", ran.whole());
        assert!(ran.stderr.contains("code:  receipt-wrong"), "{}", ran.stderr);
    }
    let mut bad = good.clone();
    bad[0] ^= 1;
    std::fs::write(shop.path("bad.receipts"), &bad).expect("a copy");
    std::fs::write(shop.path("cut.receipts"), &good[..good.len() - 10]).expect("a copy");
    let cut = shop.run(&["receipt", "verify", "cut.receipts"]);
    assert_eq!(cut.code, 3);
    assert_snapshot!("receipt_wrong", shop.run(&["receipt", "verify", "bad.receipts"]).stderr);
}

#[test]
fn whom_to_trust_is_asked() {
    let (shop, file) = moved();
    let (other, _) = moved();
    let strangers = other.path("keys").display().to_string();
    let impostor = shop.run(&["receipt", "verify", &file, "--keys", &strangers]);
    assert_eq!(impostor.code, 3);
    assert!(impostor.stderr.contains("code:  receipt-impostor"), "{}", impostor.stderr);
    shop.write("domicile.toml", "");
    let nobody = shop.run(&["receipt", "verify", &file]);
    assert_eq!(nobody.code, 2);
    assert_snapshot!("receipt_no_keys", nobody.stderr);
}

#[test]
fn who_was_not_moved_has_no_receipt() {
    let (shop, _) = moved();
    let ran = shop.run(&["receipt", "extract", "1"]);
    assert_eq!(ran.code, 3);
    assert_snapshot!("receipt_no_subject", ran.stderr);
}
