#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ferrio_fuzz::ws_frames::check(bytes));
