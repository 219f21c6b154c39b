//! What a frame costs before it is sent: parity of one large block, and sealing of its datagrams.
#![allow(missing_docs, reason = "criterion's macros make a function that nobody else sees")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use punktfunk_net::cauchy::CauchyEncoder;
use punktfunk_net::fec::{BlockDecoder, ParityEncoder};
use punktfunk_net::seal::{DirectionKey, Opener, Sealer, TAG_BYTES};

const SHARD: usize = 1024;
const HEADER: usize = 16;

fn parity(c: &mut Criterion) {
    let data: Vec<Vec<u8>> = (0..200).map(|i| (0..SHARD).map(|j| (i * 7 + j * 13) as u8).collect()).collect();
    let shards = || data.iter().map(Vec::as_slice);
    let mut encoder = ParityEncoder::new();
    let parity: Vec<Vec<u8>> =
        encoder.parity(shards(), 40, SHARD).expect("valid").shards().map(<[u8]>::to_vec).collect();
    let mut group = c.benchmark_group("fec");
    group.throughput(Throughput::Bytes((200 * SHARD) as u64));
    group.bench_function("parity of 200+40 x 1024 B", |b| {
        b.iter(|| {
            encoder.parity(shards(), 40, SHARD).expect("valid").shards().map(|shard| shard[0]).fold(0, u8::wrapping_add)
        });
    });
    let mut decoder = BlockDecoder::new();
    group.bench_function("restore 10 of 200+40 x 1024 B", |b| {
        b.iter(|| {
            let kept = shards().enumerate().skip(10);
            let repair = parity.iter().map(Vec::as_slice).enumerate().take(10);
            decoder.restore((200, 40), SHARD, kept, repair).expect("enough").shards().count()
        });
    });
    let small = || data.iter().take(20).map(Vec::as_slice);
    let small_parity: Vec<Vec<u8>> =
        encoder.parity(small(), 4, SHARD).expect("valid").shards().map(<[u8]>::to_vec).collect();
    group.bench_function("restore 1 of 20+4 x 1024 B", |b| {
        b.iter(|| {
            let repair = small_parity.iter().map(Vec::as_slice).enumerate().take(1);
            decoder.restore((20, 4), SHARD, small().enumerate().skip(1), repair).expect("enough").shards().count()
        });
    });
    group.finish();
}

fn cauchy(c: &mut Criterion) {
    let mut group = c.benchmark_group("cauchy");
    // Plain shards, and what a GameStream datagram of 1392 bytes has under its parity.
    for (data, parity, bytes) in [(200, 40, SHARD), (33, 7, SHARD), (200, 40, 1408)] {
        let mut block: Vec<u8> = (0..(data + parity) * bytes).map(|i| (i * 13) as u8).collect();
        let mut encoder = CauchyEncoder::new();
        group.throughput(Throughput::Bytes((data * bytes) as u64));
        group.bench_function(format!("parity of {data}+{parity} x {bytes} B"), |b| {
            b.iter(|| encoder.encode(&mut block, (data, parity), bytes).expect("valid"));
        });
    }
    group.finish();
}

fn seal(c: &mut Criterion) {
    let key = DirectionKey::from_secret(&[7; DirectionKey::BYTES]);
    let mut sealer = Sealer::new(key.clone());
    let mut datagram = vec![0; HEADER + 1280 + TAG_BYTES];
    let write = |header: &mut [u8], number: u64| header[..8].copy_from_slice(&number.to_be_bytes());
    let mut group = c.benchmark_group("seal");
    group.throughput(Throughput::Bytes(1280));
    group.bench_function("seal 1280 B", |b| {
        b.iter(|| sealer.seal(&mut datagram, HEADER, write).expect("key not exhausted"))
    });
    group.bench_function("seal and open 1280 B", |b| {
        let (mut sealer, mut opener) = (Sealer::new(key.clone()), Opener::new(key.clone()));
        b.iter(|| {
            let number = sealer.seal(&mut datagram, HEADER, write).expect("key not exhausted");
            opener.open(number, &mut datagram, HEADER).expect("genuine").len()
        });
    });
    group.finish();
}

criterion_group!(benches, parity, cauchy, seal);
criterion_main!(benches);
