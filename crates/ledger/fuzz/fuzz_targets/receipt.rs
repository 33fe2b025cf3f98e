#![no_main]

#[path = "../../../../xtask/fuzz_seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::write(domicile_ledger::fuzzed::seeds()), |data: &[u8]| {
    domicile_ledger::fuzzed::receipt(data)
});
