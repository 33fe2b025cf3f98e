#![no_main]

#[path = "../../../../xtask/fuzz_seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::write(domicile_audit::fuzzed::seeds("archive")), |data: &[u8]| {
    domicile_audit::fuzzed::archive(data)
});
