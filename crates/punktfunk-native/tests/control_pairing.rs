//! First contact over real QUIC: who gets paired, and who does not.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod control_support;

use std::net::SocketAddr;
use std::time::Duration;

use control_support::{Host, SOON, certificate, connect, host, host_with, listen};
use punktfunk_native::client::Dial;
use punktfunk_native::control::PAIRING_ALPN;
use punktfunk_native::identity::{Fingerprint, Identity};
use punktfunk_native::pairing::{Ask, PairError, Pin, pair};

/// Pairs at `address`; `answer` is asked as a user would be.
fn pair_at(
    host: &Host,
    address: SocketAddr,
    identity: &Identity,
    answer: impl FnMut(Ask) -> Option<Pin> + Send,
) -> Result<Fingerprint, PairError> {
    let address = address.to_string();
    let paired = pair(&address, identity, "Steam Deck", answer);
    host.runtime.block_on(async { tokio::time::timeout(SOON, paired).await }).unwrap()
}

fn pin(text: &str) -> Pin {
    text.parse().unwrap()
}

#[test]
fn the_right_pin_pairs_both_ends_and_the_client_may_stream() {
    let host = host();
    let identity = Identity::generate().unwrap();
    let (pairing, mut shown) = (host.server.pairing(), None);
    let pinned = pair_at(&host, host.address(), &identity, |ask| match ask {
        Ask::Waiting { request } => {
            let listed = pairing.requests();
            assert_eq!(listed.len(), 1);
            assert_eq!((listed[0].id.as_str(), listed[0].name.as_str()), (request.as_str(), "Steam Deck"));
            assert_eq!((listed[0].fingerprint, listed[0].approved), (identity.fingerprint(), false));
            assert!(listed[0].address.ip().is_loopback());
            shown = Some(pairing.approve(&request, None, Some("Den")).unwrap());
            None
        }
        Ask::Pin { attempts_left } => {
            assert_eq!(attempts_left, None);
            shown.clone()
        }
    });
    assert_eq!(pinned.unwrap(), host.fingerprint);
    assert!(pairing.requests().is_empty());
    let clients = host.clients.list();
    assert_eq!((clients.len(), clients[0].name.as_str()), (1, "Den"));
    assert_eq!(clients[0].fingerprint, identity.fingerprint());
    host.dialer(&identity).dial().unwrap();
    assert_eq!(host.stream().client.name, "Den");
}

#[test]
fn three_wrong_pins_are_one_too_many() {
    let host = host();
    let pairing = host.server.pairing();
    let mut left = Vec::new();
    let paired = pair_at(&host, host.address(), &Identity::generate().unwrap(), |ask| match ask {
        Ask::Waiting { request } => pairing.approve(&request, Some("123456"), None).ok(),
        Ask::Pin { attempts_left } => {
            left.push(attempts_left);
            Some(pin("654321"))
        }
    });
    assert!(matches!(paired, Err(PairError::Refused(_))), "{paired:?}");
    assert_eq!(left, [None, Some(2), Some(1)]);
    assert!(pairing.requests().is_empty() && host.clients.list().is_empty());
}

#[test]
fn a_client_does_not_go_on_asking_for_pins_because_a_host_does() {
    let host = host_with(|config| config.pairing.attempts = 9);
    let (pairing, mut typed) = (host.server.pairing(), 0);
    let paired = pair_at(&host, host.address(), &Identity::generate().unwrap(), |ask| match ask {
        Ask::Waiting { request } => pairing.approve(&request, Some("123456"), None).ok(),
        Ask::Pin { .. } => {
            typed += 1;
            Some(pin("654321"))
        }
    });
    assert!(matches!(paired, Err(PairError::TooManyPrompts)), "{paired:?}");
    assert_eq!(typed, 3);
}

#[test]
fn a_second_try_may_be_right() {
    let host = host();
    let pairing = host.server.pairing();
    let paired = pair_at(&host, host.address(), &Identity::generate().unwrap(), |ask| match ask {
        Ask::Waiting { request } => pairing.approve(&request, Some("123456"), None).ok(),
        Ask::Pin { attempts_left: None } => Some(pin("123457")),
        Ask::Pin { .. } => Some(pin("123456")),
    });
    assert_eq!(paired.unwrap(), host.fingerprint);
}

#[test]
fn a_pin_is_good_for_the_request_that_it_answered_and_for_no_other() {
    let host = host();
    let pairing = host.server.pairing();
    let (first, second) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    // While the first client's user still looks for the PIN, the second one, whose request has another, tries it.
    let paired = pair_at(&host, host.address(), &first, |ask| match ask {
        Ask::Waiting { request } => pairing.approve(&request, Some("111111"), None).ok(),
        Ask::Pin { .. } => {
            let stolen = std::thread::scope(|scope| {
                let steal = scope.spawn(|| {
                    pair_at(&host, host.address(), &second, |ask| match ask {
                        Ask::Waiting { request } => pairing.approve(&request, Some("222222"), None).ok(),
                        Ask::Pin { .. } => Some(pin("111111")),
                    })
                });
                steal.join().unwrap()
            });
            assert!(matches!(stolen, Err(PairError::Refused(_))), "{stolen:?}");
            Some(pin("111111"))
        }
    });
    assert_eq!(paired.unwrap(), host.fingerprint, "the first client is not disturbed");
    assert_eq!(host.clients.list().len(), 1);
}

#[test]
fn somebody_in_the_middle_who_passes_everything_on_pairs_nobody() {
    let host = host();
    let pairing = host.server.pairing();
    let middle = certificate();
    let relay = {
        let _entered = host.runtime.enter();
        listen(PAIRING_ALPN, &middle)
    };
    let (relay_address, host_address) = (relay.local_addr().unwrap(), host.address());
    host.runtime.spawn(async move {
        let client = relay.accept().await.unwrap().await.unwrap();
        let onward = connect(host_address, PAIRING_ALPN, &middle).await.unwrap();
        let (mut to_client, mut from_client) = client.accept_bi().await.unwrap();
        let (mut to_host, mut from_host) = onward.open_bi().await.unwrap();
        let up = async {
            while let Ok(Some(chunk)) = from_client.read_chunk(1024, true).await {
                to_host.write_all(&chunk.bytes).await.unwrap();
            }
        };
        let down = async {
            while let Ok(Some(chunk)) = from_host.read_chunk(1024, true).await {
                to_client.write_all(&chunk.bytes).await.unwrap();
            }
        };
        tokio::join!(up, down);
    });
    let paired = pair_at(&host, relay_address, &Identity::generate().unwrap(), |ask| match ask {
        Ask::Waiting { request } => pairing.approve(&request, Some("123456"), None).ok(),
        Ask::Pin { .. } => Some(pin("123456")),
    });
    assert!(matches!(paired, Err(PairError::Refused(_))), "{paired:?}");
    assert!(host.clients.list().is_empty());
}

#[test]
fn a_request_that_nobody_answers_expires() {
    let host = host_with(|config| config.pairing.expires_after = Duration::from_millis(50));
    let paired = pair_at(&host, host.address(), &Identity::generate().unwrap(), |_| None);
    assert!(matches!(paired, Err(PairError::Refused(_))), "{paired:?}");
    assert!(host.server.pairing().requests().is_empty());
}

#[test]
fn a_client_whose_user_gives_up_is_not_paired() {
    let host = host();
    let pairing = host.server.pairing();
    let paired = pair_at(&host, host.address(), &Identity::generate().unwrap(), |ask| match ask {
        Ask::Waiting { request } => pairing.approve(&request, None, None).ok(),
        Ask::Pin { .. } => None,
    });
    assert!(matches!(paired, Err(PairError::NoPin)), "{paired:?}");
    assert!(host.clients.list().is_empty());
}

#[test]
fn requests_beyond_the_limit_are_refused() {
    let host = host_with(|config| config.pairing.max_open_per_address = 1);
    let pairing = host.server.pairing();
    let second = Identity::generate().unwrap();
    let paired = pair_at(&host, host.address(), &Identity::generate().unwrap(), |ask| match ask {
        Ask::Waiting { request } => {
            let refused = std::thread::scope(|scope| {
                scope.spawn(|| pair_at(&host, host.address(), &second, |_| None)).join().unwrap()
            });
            assert!(matches!(refused, Err(PairError::Refused(_))), "{refused:?}");
            pairing.approve(&request, Some("1234"), None).ok()
        }
        Ask::Pin { .. } => Some(pin("1234")),
    });
    assert_eq!(paired.unwrap(), host.fingerprint);
}

#[test]
fn a_client_that_failed_may_ask_again() {
    let host = host();
    let (pairing, identity) = (host.server.pairing(), Identity::generate().unwrap());
    let again = |typed: &str| {
        pair_at(&host, host.address(), &identity, |ask| match ask {
            Ask::Waiting { request } => pairing.approve(&request, Some("123456"), None).ok(),
            Ask::Pin { .. } => Some(pin(typed)),
        })
    };
    assert!(again("0000").is_err());
    assert_eq!(again("123456").unwrap(), host.fingerprint);
}
