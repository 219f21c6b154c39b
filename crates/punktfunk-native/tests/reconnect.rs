//! A client whose host vanishes dials again, and goes on where the next stream begins.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use punktfunk_media::VideoMode;
use punktfunk_native::client::{
    ClientStreamConfig, Consumer, Dial, Goal, Granted, Progress, RunError, RunReport, StreamOver, run,
};
use punktfunk_stats::Recorder;
use support::{Host, STREAM, host, keys, recorder};

/// Starts a fresh host for each dial.
struct FreshHosts {
    recorder: Recorder,
    hosts: Arc<Mutex<Vec<Host>>>,
    /// Hosts that are there; later dials get the address of the last one, which is gone by then.
    available: usize,
}

impl Dial for FreshHosts {
    type Error = Infallible;

    fn dial(&mut self) -> Result<Granted, Infallible> {
        let mut hosts = self.hosts.lock().unwrap();
        if hosts.len() < self.available {
            hosts.push(host(&self.recorder, VideoMode::new(640, 360, 30).unwrap(), |_| ()));
        }
        let host = hosts.last().unwrap();
        let mut stream = ClientStreamConfig::new(STREAM, keys(), host.address);
        stream.lost_after = Duration::from_millis(300);
        Ok(Granted { stream, control: host.control.clone(), rtt: Box::new(|| None) })
    }
}

fn client_of(available: usize, fall_over_at: u64) -> (Result<(), RunError<Infallible>>, RunReport, Consumer) {
    let hosts = Arc::new(Mutex::new(Vec::new()));
    let mut dial = FreshHosts { recorder: recorder(), hosts: Arc::clone(&hosts), available };
    let goal = Goal { frames: Some(40), redials: 2, redial_after: Duration::from_millis(10), ..Goal::default() };
    let (mut report, mut consumer) = (RunReport::default(), Consumer::new(None, true).unwrap());
    let progress = |progress: &Progress| {
        if progress.streams == 1 && progress.frames == fall_over_at {
            hosts.lock().unwrap()[0].stream.stop();
        }
    };
    let result = run(&mut dial, &goal, &mut consumer, progress, &mut report);
    for host in hosts.lock().unwrap().drain(..) {
        host.stream.stop();
        host.stream.join();
    }
    (result, report, consumer)
}

#[test]
fn a_client_that_lost_contact_dials_again_and_reaches_its_goal() {
    let (result, report, consumer) = client_of(2, 10);
    result.unwrap();
    assert_eq!(report.frames, 40);
    assert_eq!(report.streams.len(), 2);
    assert_eq!([report.streams[0].over, report.streams[1].over], [StreamOver::LostContact, StreamOver::Stopped]);
    assert_eq!(consumer.tally().pictures, 40);
}

#[test]
fn a_client_whose_host_stays_away_gives_up_and_keeps_its_report() {
    let (result, report, _) = client_of(1, 10);
    assert!(matches!(result, Err(RunError::LostContact)), "{result:?}");
    assert!(report.frames >= 10);
    assert_eq!(report.streams.len(), 3, "the first stream and two dials in vain");
}
