//! Request smuggling: every class that is known, and what RFC 9112 has a server do about it. The
//! bytes are in `tests/smuggling`.

mod corpus;
mod differential;
mod host;

use ferrio_http::Limits;

#[test]
fn every_class_has_its_verdict() {
    let cases = corpus::all();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let outcome = host::run_cut_anywhere(&case.bytes, &Limits::default());
        let verdict = outcome.verdicts.join(" + ");
        if verdict != case.verdict {
            wrong.push(format!("{}: {verdict}, not {}", case.place, case.verdict));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
