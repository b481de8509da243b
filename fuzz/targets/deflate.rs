#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ferrio_fuzz::deflate::check(bytes));
