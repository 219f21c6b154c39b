//! The announcement as a browser of the local network sees it, over whatever interfaces the machine has.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Instant;

use mdns_sd::{Receiver, ServiceDaemon, ServiceEvent};
use punktfunk_gamestream::ServerConfig;
use support::SOON;
use support::gamehost::GameHost;

const SERVICE: &str = "_nvstream._tcp.local.";

/// The first event that `wanted` makes something of.
fn until<T>(events: &Receiver<ServiceEvent>, wanted: impl Fn(ServiceEvent) -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        let event = events.recv_timeout(SOON.saturating_sub(since.elapsed())).unwrap();
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

#[test]
fn an_announced_host_is_found_with_its_port_and_is_gone_when_it_ends() {
    // A name of its own: other hosts may be announced where this runs.
    let name = format!("punktfunk-test-{}", std::process::id());
    let full_name = format!("{name}.{SERVICE}");
    let browser = ServiceDaemon::new().unwrap();
    let events = browser.browse(SERVICE).unwrap();
    let mut host =
        GameHost::start_as(ServerConfig { host_name: name.clone(), announce: true, ..ServerConfig::default() });
    let found = until(&events, |event| match event {
        ServiceEvent::ServiceResolved(service) if service.get_fullname() == full_name => Some(service),
        _ => None,
    });
    assert_eq!(found.get_port(), host.address().port());
    assert_eq!(found.get_hostname(), format!("{name}.local."));
    assert!(!found.get_addresses().is_empty(), "{found:?}");
    host.stop();
    until(&events, |event| match event {
        ServiceEvent::ServiceRemoved(_, gone) if gone == full_name => Some(()),
        _ => None,
    });
    browser.shutdown().unwrap();
}
