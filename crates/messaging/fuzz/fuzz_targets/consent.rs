#![no_main]

#[path = "../../../../xtask/fuzz_seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::write(domicile_messaging::fuzzed::seeds("consent")), |data: &[u8]| {
    domicile_messaging::fuzzed::consent(data)
});
