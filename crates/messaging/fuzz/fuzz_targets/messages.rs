#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| domicile_messaging::fuzzed::messages(data));
