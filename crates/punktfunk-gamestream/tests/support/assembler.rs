//! The receiving side of a GameStream client, written from the wire: parses datagrams, repairs blocks, puts frames
//! together, and says what a client would say. It panics where the host breaks the protocol. No socket, no clock.

use std::collections::BTreeMap;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::field::Field;

/// What happens in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A frame is complete. `decodable`: nothing that it builds on was lost.
    /// `timestamp` is RTP's, 90 kHz.
    Frame { index: u32, timestamp: u32, idr: bool, latency_tenths: u16, access_unit: Vec<u8>, decodable: bool },
    /// The 21 bytes of a report on a block that was repaired or given up.
    FecStatus(Vec<u8>),
    /// An IDR is needed.
    RequestIdr,
}

/// The client's own figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub packets: u64,
    pub frames: u64,
    pub frames_lost: u64,
    pub idrs: u64,
    pub missing: u64,
    pub recovered: u64,
    pub idr_requests: u64,
    pub most_blocks: usize,
}

struct Block {
    first_sequence: u16,
    highest: usize,
    percent: u32,
    data: Vec<Option<Vec<u8>>>,
    parity: Vec<Option<Vec<u8>>>,
    done: bool,
}

impl Block {
    fn received(&self) -> (usize, usize) {
        let count = |shards: &[Option<Vec<u8>>]| shards.iter().flatten().count();
        (count(&self.data), count(&self.parity))
    }

    fn missing(&self) -> usize {
        self.data.iter().chain(&self.parity).take(self.highest + 1).filter(|shard| shard.is_none()).count()
    }
}

struct Frame {
    index: u32,
    timestamp: u32,
    blocks: usize,
    seen: BTreeMap<usize, Block>,
}

pub struct Assembler {
    packet_size: usize,
    key: Option<LessSafeKey>,
    nonces: std::collections::BTreeSet<[u8; 12]>,
    field: Field,
    frame: Option<Frame>,
    /// The next frame that is expected.
    next: u32,
    /// Frames are of no use before an IDR.
    broken: bool,
    tally: Tally,
    events: Vec<Event>,
}

fn le(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

fn be(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

impl Assembler {
    pub fn new(packet_size: usize, key: Option<[u8; 16]>) -> Self {
        Self {
            packet_size,
            key: key.map(|key| LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap())),
            nonces: std::collections::BTreeSet::new(),
            field: Field::new(),
            frame: None,
            next: 1,
            broken: true,
            tally: Tally::default(),
            events: Vec::new(),
        }
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes a datagram and says what follows from it.
    pub fn push(&mut self, datagram: &[u8]) -> Vec<Event> {
        self.tally.packets += 1;
        match self.open(datagram) {
            (Some(frame), shard) => {
                assert_eq!(frame, le(&shard[20..24]), "the sealing prefix names the frame");
                self.shard(shard);
            }
            (None, shard) => self.shard(shard),
        }
        std::mem::take(&mut self.events)
    }

    fn open(&mut self, datagram: &[u8]) -> (Option<u32>, Vec<u8>) {
        let Some(key) = &self.key else {
            assert_eq!(datagram.len(), self.packet_size + 16);
            return (None, datagram.to_vec());
        };
        assert_eq!(datagram.len(), self.packet_size + 16 + 32);
        let nonce: [u8; 12] = datagram[..12].try_into().unwrap();
        assert_eq!(&nonce[8..], [0, 0, 0, b'V']);
        assert!(self.nonces.insert(nonce), "a nonce was used twice");
        let mut sealed = [&datagram[32..], &datagram[16..32]].concat();
        let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).unwrap();
        (Some(le(&datagram[12..16])), opened.to_vec())
    }

    fn shard(&mut self, shard: Vec<u8>) {
        assert_eq!((shard[0], shard[1]), (0x90, 0));
        assert_eq!(shard[8..16], [0; 8]);
        let sequence = u16::from_be_bytes([shard[2], shard[3]]);
        let (timestamp, index) = (be(&shard[4..8]), le(&shard[20..24]));
        let (block, last_block) = (usize::from(shard[27] >> 4 & 3), usize::from(shard[27] >> 6));
        let info = le(&shard[28..32]);
        let (data, at, percent) = ((info >> 22) as usize, (info >> 12 & 0x3ff) as usize, info >> 4 & 0xff);
        let parity = (data * percent as usize).div_ceil(100);
        assert!(at < data + parity && block <= last_block && data > 0, "the header contradicts itself");

        if self.frame.as_ref().is_some_and(|frame| frame.index != index) {
            self.give_up();
        }
        if index < self.next {
            // What is left of a frame that is complete or was given up.
            return;
        }
        if index > self.next {
            self.tally.frames_lost += u64::from(index - self.next);
            self.lost();
            self.next = index;
        }
        self.tally.most_blocks = self.tally.most_blocks.max(last_block + 1);
        let frame =
            self.frame.get_or_insert_with(|| Frame { index, timestamp, blocks: last_block + 1, seen: BTreeMap::new() });
        assert_eq!((frame.timestamp, frame.blocks), (timestamp, last_block + 1), "the packets of a frame agree");
        let entry = frame.seen.entry(block).or_insert_with(|| Block {
            first_sequence: sequence.wrapping_sub(at as u16),
            highest: at,
            percent,
            data: vec![None; data],
            parity: vec![None; parity],
            done: false,
        });
        assert_eq!(entry.first_sequence.wrapping_add(at as u16), sequence, "a block's packets are numbered on");
        assert_eq!((entry.data.len(), entry.parity.len()), (data, parity));
        entry.highest = entry.highest.max(at);
        if entry.done {
            return;
        }
        if at < data {
            check_data(&shard, at, data, sequence);
            entry.data[at] = Some(shard);
        } else {
            entry.parity[at - data] = Some(shard);
        }
        let (have_data, have_parity) = entry.received();
        if have_data + have_parity >= data {
            let repaired = data - have_data;
            if repaired > 0 {
                let status = status(index, block, last_block, entry);
                self.tally.missing += entry.missing() as u64;
                self.tally.recovered += repaired as u64;
                self.events.push(Event::FecStatus(status));
                let was: Vec<bool> = entry.data.iter().map(Option::is_none).collect();
                self.field.repair(&mut entry.data, &entry.parity);
                for (at, shard) in entry.data.iter().enumerate().filter(|(at, _)| was[*at]) {
                    check_data(shard.as_ref().unwrap(), at, data, entry.first_sequence.wrapping_add(at as u16));
                }
            }
            entry.done = true;
            if frame.seen.len() == frame.blocks && frame.seen.values().all(|block| block.done) {
                self.complete();
            }
        }
    }

    fn complete(&mut self) {
        let frame = self.frame.take().unwrap();
        self.next = frame.index + 1;
        let payloads = frame.seen.values().flat_map(|block| block.data.iter().flatten());
        let mut bytes: Vec<u8> = payloads.flat_map(|shard| &shard[32..]).copied().collect();
        let payload = self.packet_size - 16;
        assert_eq!((bytes[0], bytes[6], bytes[7]), (1, 0, 0));
        let latency_tenths = u16::from_le_bytes([bytes[1], bytes[2]]);
        let idr = match bytes[3] {
            1 => false,
            2 => true,
            other => panic!("frame type {other}"),
        };
        let last = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
        assert!((1..=payload).contains(&last));
        let padding = bytes.split_off(bytes.len() - payload + last);
        assert!(padding.iter().all(|byte| *byte == 0));
        let access_unit = bytes.split_off(8);
        self.broken &= !idr;
        self.tally.frames += 1;
        self.tally.idrs += u64::from(idr);
        let decodable = !self.broken;
        let Frame { index, timestamp, .. } = frame;
        self.events.push(Event::Frame { index, timestamp, idr, latency_tenths, access_unit, decodable });
    }

    /// A later frame has begun: this one will not be complete.
    fn give_up(&mut self) {
        let frame = self.frame.take().unwrap();
        for (&index, block) in frame.seen.iter().filter(|(_, block)| !block.done) {
            self.tally.missing += block.missing() as u64;
            self.events.push(Event::FecStatus(status(frame.index, index, frame.blocks - 1, block)));
        }
        self.next = frame.index + 1;
        self.tally.frames_lost += 1;
        self.lost();
    }

    /// As the stock client does, one request for all that is lost before the IDR comes.
    fn lost(&mut self) {
        if !std::mem::replace(&mut self.broken, true) {
            self.tally.idr_requests += 1;
            self.events.push(Event::RequestIdr);
        }
    }
}

/// What holds for a data packet, whether it arrived or was repaired.
fn check_data(shard: &[u8], at: usize, data: usize, sequence: u16) {
    let flags = 1 | if at + 1 == data { 2 } else { 0 } | if at == 0 { 4 } else { 0 };
    assert_eq!(shard[24..27], [flags, 0, 0x10], "flags of data packet {at} of {data}");
    let position = le(&shard[16..20]);
    assert_eq!((position & 0xff, (position >> 8) as u16), (0, sequence), "position of data packet {at} of {data}");
}

fn status(frame: u32, index: usize, last_block: usize, block: &Block) -> Vec<u8> {
    let (data, parity) = block.received();
    let contiguous = block.data.iter().chain(&block.parity).take_while(|shard| shard.is_some()).count();
    let number = |at: usize| block.first_sequence.wrapping_add(at as u16);
    let words = [
        number(block.highest),
        number(contiguous),
        block.missing() as u16,
        block.data.len() as u16,
        block.parity.len() as u16,
        data as u16,
        parity as u16,
    ];
    let mut bytes = frame.to_be_bytes().to_vec();
    bytes.extend(words.into_iter().flat_map(u16::to_be_bytes));
    bytes.extend([block.percent as u8, index as u8, last_block as u8 + 1]);
    bytes
}
