//! Resource policies: what is understood is evaluated, the rest refused.
#![no_main]

use auth::{Caller, Policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(policy) = Policy::parse(text) {
        let caller = Caller {
            account: "111111111111".into(),
            user: "ann".into(),
            source_ip: [192, 0, 2, 7].into(),
            is_secure: true,
        };
        let _ = policy.evaluate(&caller, "kinesis:PutRecord", "arn:aws:kinesis:a:0:stream/s");
        assert_eq!(policy.text(), text);
    }
});
