//! Four clients at once: one streams all through, one joins inside the window, one leaves inside it, one is stalled. The
//! recording says of each what it got, and of none what another one did.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use serde_json::Value;
use tempfile::TempDir;

use self::support::{Client, Host, outcomes};

const FPS: f64 = 30.0;

/// How long the one client is stalled, ms: beyond the 1.5 s after which the host sends it nothing, below the 3 s after
/// which the client would dial again.
const STALL_MS: u64 = 1900;

/// Frames that the host may send after a client's goodbye, before it hears it; a second's.
const ON_THEIR_WAY: u64 = FPS as u64;

/// A client's own directory, known to the host by name.
fn paired(host: &Host, name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    host.pair_as(directory.path(), name);
    directory
}

fn connect(host: &Host, directory: &TempDir) -> Client {
    let arguments = ["--width", "640", "--height", "360", "--fps", "30", "--bitrate-kbps", "1500"];
    Client::connect(host, directory.path(), &arguments)
}

fn elapsed_ms(host: &Host) -> u64 {
    host.json(&["status"])["elapsed_ms"].as_u64().unwrap()
}

/// The samples so far of the client with this name, or all that a recording holds.
fn samples<'a>(capture: &'a Value, session: &str) -> Vec<&'a Value> {
    capture["samples"].as_array().unwrap().iter().filter(|sample| sample["session_id"] == session).collect()
}

/// Waits until a session has a sample, after those that end by `after_ms`, of which `is` holds; its end.
fn until_sample(host: &Host, session: &str, after_ms: u64, is: impl Fn(&Value) -> bool) -> u64 {
    let deadline = std::time::Instant::now() + support::PATIENCE;
    loop {
        let live: Value = serde_json::from_str(&host.get("/api/v1/stats/capture/live", "mgmt-token")).unwrap();
        let found = samples(&live, session).into_iter().find(|&sample| number(sample, "t_ms") > after_ms && is(sample));
        if let Some(sample) = found {
            return number(sample, "t_ms");
        }
        assert!(std::time::Instant::now() < deadline, "no such sample of {session} in {live}");
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn session_of(host: &Host, client: &str) -> String {
    let sessions = host.until(&["sessions"], |sessions| {
        sessions.as_array().unwrap().iter().any(|session| session["client"] == client)
    });
    let found = sessions.as_array().unwrap().iter().find(|session| session["client"] == client).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[test]
fn each_of_several_clients_gets_its_own_samples_and_a_stalled_one_disturbs_nobody() {
    let own = tempfile::tempdir().unwrap();
    let sizes = [("PUNKTFUNK_SOURCE_WIDTH", "640"), ("PUNKTFUNK_SOURCE_HEIGHT", "360")];
    let host = Host::start_with(own.path(), &sizes);
    let [steady_in, joining_in, leaving_in, stalled_in] =
        ["steady", "joining", "leaving", "stalled"].map(|name| paired(&host, name));

    let [steady, leaving, stalled] = [&steady_in, &leaving_in, &stalled_in].map(|directory| connect(&host, directory));
    let [steady_id, leaving_id, stalled_id] = ["steady", "leaving", "stalled"].map(|name| session_of(&host, name));
    host.json(&["start", "--label", "four clients"]);
    for session in [&steady_id, &leaving_id, &stalled_id] {
        until_sample(&host, session, 0, |sample| number(sample, "frames") > 0);
    }

    let before_join = elapsed_ms(&host);
    let joining = connect(&host, &joining_in);
    let joining_id = session_of(&host, "joining");
    until_sample(&host, &joining_id, 0, |sample| number(sample, "frames") > 0);

    let stall_from = elapsed_ms(&host);
    stalled.signal("STOP");
    let stall_to = loop {
        let now = elapsed_ms(&host);
        if now >= stall_from + STALL_MS {
            break now;
        }
    };
    stalled.signal("CONT");
    // It gets whole seconds again, after a second in which frames went nowhere.
    let recovered = until_sample(&host, &stalled_id, stall_to, |sample| number(sample, "frames_dropped") == 0);

    let before_leave = elapsed_ms(&host);
    let leaving_report = leaving.interrupt();
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 3);
    let after_leave = elapsed_ms(&host);
    until_sample(&host, &steady_id, after_leave.max(recovered), |_| true);
    let meta = host.json(&["stop"]);
    let [steady_report, joining_report, stalled_report] = [steady, joining, stalled].map(Client::interrupt);

    let recording = host.json(&["recordings", "show", meta["id"].as_str().unwrap()]);
    assert_eq!(recording["provenance"]["verified"], true);
    assert_eq!(
        (&meta["kind"], &meta["truncated"], number(&meta, "records_lost")),
        (&"native".into(), &false.into(), 0)
    );
    let duration = number(&meta, "duration_ms");
    let sessions = recording["meta"]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 4, "{sessions:#?}");

    let reports = [
        ("steady", &steady_id, &steady_report),
        ("joining", &joining_id, &joining_report),
        ("leaving", &leaving_id, &leaving_report),
        ("stalled", &stalled_id, &stalled_report),
    ];
    for (name, id, report) in reports {
        let session = sessions.iter().find(|session| session["id"] == id.as_str()).unwrap();
        assert_eq!(
            (&session["client"], &session["protocol"], &session["codec"]),
            (&name.into(), &"native".into(), &"h264".into())
        );
        assert_eq!(
            (number(session, "width"), number(session, "height"), number(session, "fps")),
            (640, 360, 30),
            "{name}"
        );

        // Its samples span its time, each beginning where the one before ended.
        let (joined, left) = (number(session, "joined_ms"), session["left_ms"].as_u64());
        match name {
            "joining" => assert!((before_join..stall_from).contains(&joined), "{name}: {session}"),
            _ => assert!(joined < before_join, "{name}: {session}"),
        }
        match name {
            "leaving" => assert!((before_leave..=after_leave).contains(&left.unwrap()), "{name}: {session}"),
            _ => assert_eq!(left, None, "{name}: {session}"),
        }
        let own = samples(&recording, id);
        let mut end = joined as f64;
        for sample in &own {
            let (t_ms, window_ms) = (number(sample, "t_ms") as f64, sample["window_ms"].as_f64().unwrap());
            assert!((t_ms - window_ms - end).abs() <= 2.0, "{name}: a window begins at {end} ms: {sample}");
            end = t_ms;
        }
        let until = left.unwrap_or(duration) as f64;
        assert!((end - until).abs() <= 2.0, "{name}: the last sample ends at {end} of {until} ms");

        // Its counts are the probe's.
        let total = |figure: &str| own.iter().map(|sample| number(sample, figure)).sum::<u64>();
        let (first, last) = (number(session, "first_frame"), number(session, "last_frame"));
        let (records, gaps) = (number(session, "records"), number(session, "gaps"));
        assert_eq!((total("frames"), records + gaps), (records, last - first + 1), "{name}: {session}");
        let runs = report["streams"][0]["outcomes"]["runs"].as_array().unwrap();
        let known = last.min(number(runs.last().unwrap(), "last"));
        let [complete, undecodable, lost] = outcomes(report, first, known);
        assert_eq!(
            complete + undecodable + lost,
            known - first + 1,
            "{name}: the probe knows of every frame: {report}"
        );
        // Only the one that left cannot know what was sent after its goodbye.
        let unheard = last - known;
        assert!(unheard == 0 || name == "leaving" && unheard < ON_THEIR_WAY, "{name}: {unheard} frames");
        if name == "stalled" {
            assert!(gaps > 0 && total("frames_dropped") >= gaps, "frames that went nowhere: {session}");
            assert!(lost >= gaps, "{lost} lost, {gaps} not sent");
        } else {
            assert_eq!((gaps, lost + undecodable), (0, 0), "{name}: {session}");
        }
    }

    // While the one was stalled, and before and after, the others had every picture.
    let steady_samples = samples(&recording, &steady_id);
    let (whole, fps): (Vec<u64>, Vec<f64>) = steady_samples
        .iter()
        .filter(|sample| sample["window_ms"].as_f64().unwrap() > 900.0)
        .map(|sample| (number(sample, "t_ms"), sample["fps"].as_f64().unwrap()))
        .unzip();
    assert!(whole.iter().filter(|&&end| end > stall_from && end < stall_to + 1000).count() >= 2, "{whole:?}");
    let mean = fps.iter().sum::<f64>() / fps.len() as f64;
    assert!((mean - FPS).abs() < 0.1 * FPS && fps.iter().all(|&fps| fps > 0.7 * FPS), "{fps:?} at {whole:?}");
    assert!((steady_report["new_fps"].as_f64().unwrap() - FPS).abs() < 0.1 * FPS, "{steady_report}");
}
