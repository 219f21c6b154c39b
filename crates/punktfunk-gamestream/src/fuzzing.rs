//! Every parser that a stranger's bytes reach, each behind a function of bytes that panics when something is wrong: for the
//! targets in `fuzz/`, and for the test that replays their corpus.

use crate::certificate::Certificate;

/// A target: its name, which is its corpus', and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    // The query of an HTTP request.
    ("gs_query", crate::nvhttp::fuzz_query),
    ("gs_certificate", certificate),
    // The phases of pairing by somebody who does not know the PIN.
    ("gs_pairing", crate::pairing::fuzz),
    // An RTSP request, whole and in part.
    ("gs_rtsp", crate::rtsp::fuzz_message),
    // The body of ANNOUNCE.
    ("gs_announce", crate::rtsp::fuzz_announce),
    // ENet datagrams of the launched client's address: LE16 length, a step of time, bytes.
    ("gs_enet", crate::control::fuzz::datagrams),
    // A control message, unsealed and as the client would seal it.
    ("gs_control", crate::control::fuzz::message),
    ("gs_ping", crate::ping::fuzz),
];

/// A client's certificate, as DER and as PEM, and a signature by its key.
fn certificate(bytes: &[u8]) {
    let der = Certificate::from_der(bytes.to_vec().into());
    for certificate in [der, Certificate::from_pem(bytes)].into_iter().flatten() {
        assert!(!certificate.verifies(b"never signed", bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_kept_corpus_finds_nothing_and_every_target_has_one() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let kept = fs::read_dir(&corpora).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kept: Vec<String> = kept.collect();
        kept.sort();
        let mut names = TARGETS.map(|(name, _)| name);
        names.sort_unstable();
        assert_eq!(kept, names);
        for (name, run) in TARGETS {
            let inputs: Vec<_> = fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!inputs.is_empty(), "{name} has no corpus");
            for input in inputs {
                run(&fs::read(input).unwrap());
            }
        }
    }
}
