//! The CSV exports, read back.

use std::collections::HashMap;

use punktfunk_recordings::export::{kept_frames_csv, samples_csv};
use punktfunk_recordings::{Capture, KeptFrame, KeptFrames};

use crate::fixture::capture;

type Row = HashMap<String, String>;

fn samples(capture: &Capture) -> Vec<Row> {
    let mut bytes = Vec::new();
    samples_csv(capture, &mut bytes).unwrap();
    csv::Reader::from_reader(&bytes[..]).deserialize().map(Result::unwrap).collect()
}

fn kept(capture: &Capture) -> Vec<Row> {
    let mut bytes = Vec::new();
    kept_frames_csv(capture, &mut bytes).unwrap();
    csv::Reader::from_reader(&bytes[..]).deserialize().map(Result::unwrap).collect()
}

fn recording() -> Capture {
    capture("2026-06-26T20-14-03Z", 3)
}

#[test]
fn every_sample_is_a_line_with_its_stages_side_by_side() {
    let capture = recording();
    let rows = samples(&capture);
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (rows[1]["t_ms"].as_str(), rows[1]["session_id"].as_str(), rows[1]["frames"].as_str()),
        ("2000", "s1", "60")
    );
    let encode = &capture.samples[1].stages[2];
    assert_eq!(rows[1]["encode_p99_us"].parse::<f64>().unwrap(), encode.p99_us);
    assert_eq!(rows[1]["host_count"], "60");
}

#[test]
fn what_was_not_measured_is_an_empty_cell_and_not_zero() {
    let mut capture = recording();
    capture.samples[0].packets_dropped = None;
    capture.samples[0].host = None;
    let row = &samples(&capture)[0];
    for column in ["packets_dropped", "host_p50_us", "host_count", "rtt_us", "client_lost"] {
        assert_eq!(row[column], "", "{column}");
    }
    assert_eq!(samples(&capture)[1]["packets_dropped"], "0");
}

#[test]
fn text_that_a_spreadsheet_would_run_is_made_harmless() {
    for hostile in ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"] {
        let mut capture = recording();
        capture.meta.sessions[0].client = hostile.to_owned();
        assert_eq!(samples(&capture)[0]["client"], format!("'{hostile}"));
    }
}

#[test]
fn text_with_commas_quotes_and_lines_stays_one_cell() {
    let mut capture = recording();
    let client = "a,\"b\"\r\nc;ä";
    capture.meta.sessions[0].client = client.to_owned();
    assert_eq!(samples(&capture)[2]["client"], client);
}

#[test]
fn kept_frames_of_different_paths_have_their_own_columns() {
    let frame = |stages: usize| KeptFrame {
        n: 7,
        t_ms: 116.5,
        host_us: 16_000.25,
        stages_us: (0..stages).map(|stage| (stage != 1).then_some(stage as f64)).collect(),
        waits_us: vec![0.5; stages],
        pace_us: 0.0,
        interval_us: None,
        bytes: 20_000,
        idr: true,
        repeat: false,
        late: Some("encode".to_owned()),
    };
    let of = |session: &str, stages: &[&str]| KeptFrames {
        session_id: session.to_owned(),
        stages: stages.iter().map(|stage| (*stage).to_owned()).collect(),
        spans: Vec::new(),
        frames: vec![frame(stages.len())],
    };
    let mut capture = recording();
    capture.kept_frames =
        vec![of("s1", &["capture", "submit", "encode"]), of("s2", &["capture", "encode", "packetize"])];
    let rows = kept(&capture);
    assert_eq!((rows[0]["encode_us"].as_str(), rows[1]["packetize_us"].as_str()), ("2", "2"));
    assert_eq!(
        (rows[0]["packetize_us"].as_str(), rows[0]["submit_us"].as_str(), rows[1]["encode_us"].as_str()),
        ("", "", "")
    );
    assert_eq!(
        (rows[0]["interval_us"].as_str(), rows[0]["late"].as_str(), rows[0]["idr"].as_str()),
        ("", "encode", "true")
    );
}

#[test]
fn an_empty_recording_is_a_header() {
    let capture = capture("2026-06-26T20-14-03Z", 0);
    assert_eq!((samples(&capture).len(), kept(&capture).len()), (0, 0));
}
