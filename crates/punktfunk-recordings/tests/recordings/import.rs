//! Any bytes, taken in as a recording: refused, or a recording that can be read, summed up and reported.

use proptest::prelude::*;
use punktfunk_recordings::{Language, RecordingId, Store, StoreOptions, compare::compare, report};

use super::fixture;

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("captures"), StoreOptions::default()).unwrap();
    (directory, store)
}

/// Whatever is taken in holds up in everything that is made from it.
fn holds_up(store: &Store, id: &RecordingId) {
    let capture = store.get(id).unwrap().capture;
    let mut runs = [capture.clone(), capture];
    assert!(report::recording(&runs[0], Language::English).contains("</html>"));
    let comparison = compare(&mut runs, None);
    assert!(report::comparison(&comparison, &runs, Language::German).contains("</html>"));
}

#[test]
fn what_is_taken_in_keeps_its_id_and_one_that_is_taken_gets_another() {
    let (_directory, store) = store();
    let bytes = serde_json::to_vec(&fixture::capture("a", 5)).unwrap();
    let ids: Vec<String> = (0..3).map(|at| store.import(&bytes, at).unwrap().meta.id.to_string()).collect();
    assert_eq!(ids, ["a", "a-2", "a-3"]);
    assert_eq!(store.get(&"a-3".parse().unwrap()).unwrap().capture.provenance.imported.unwrap().at_unix_ms, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_hold_up(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_directory, store) = store();
        prop_assert!(store.import(&bytes, 0).is_err());
    }

    #[test]
    fn a_recording_with_other_figures_is_refused_or_holds_up(
        places in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![
            "0", "-1", "1e308", "18446744073709551615", "9007199254740993", "null", "\"\"", "[]", "{}", "0.5", "[-5000,1]",
        ])), 1..4),
    ) {
        let (_directory, store) = store();
        let mut text = serde_json::to_string(&fixture::capture("a", 2)).unwrap();
        for (place, value) in places {
            // The value behind some colon, up to where it ends.
            let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at + 1).collect();
            let from = colons[place.index(colons.len())];
            let to = text[from..].find([',', '}', ']']).map_or(text.len(), |end| from + end);
            text.replace_range(from..to, value);
        }
        if let Ok(taken) = store.import(text.as_bytes(), 0) {
            holds_up(&store, &taken.meta.id);
        }
    }
}
