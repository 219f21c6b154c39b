//! The client's end of RTSP: seven requests, a connection for each.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use super::PATIENCE;

/// What the client wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub bitrate_kbps: u32,
    pub packet_size: u32,
    /// Bits of `encryptionEnabled`.
    pub encryption: u32,
}

pub const WISH: Wish = Wish { width: 640, height: 360, fps: 30, bitrate_kbps: 4000, packet_size: 1392, encryption: 1 };

/// What the host told.
#[derive(Debug, Clone)]
pub struct Agreed {
    pub video: SocketAddr,
    pub control: SocketAddr,
    pub audio: SocketAddr,
    pub ping_payload: String,
    pub connect_data: u32,
}

/// Sends one request and reads the whole reply.
pub fn raw(rtsp: SocketAddr, request: &[u8]) -> String {
    told(TcpStream::connect(rtsp).unwrap(), request)
}

/// The same from another address of loopback's than the client's.
pub fn raw_from(address: Ipv4Addr, rtsp: SocketAddr, request: &[u8]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        socket.connect(rtsp).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    told(stream, request)
}

fn told(mut stream: TcpStream, request: &[u8]) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A host that refuses may close before all of it is sent.
    stream.write_all(request).ok();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

fn request(rtsp: SocketAddr, sequence: u32, line: &str, body: &str) -> String {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-type: application/sdp\r\nContent-length: {}\r\n", body.len())
    };
    let request = format!(
        "{line} RTSP/1.0\r\nCSeq: {sequence}\r\nX-GS-ClientVersion: 14\r\nHost: {}\r\n{length}\r\n{body}",
        rtsp.ip()
    );
    let reply = raw(rtsp, request.as_bytes());
    assert!(!reply.starts_with("RTSP/1.0 200") || reply.contains(&format!("CSeq: {sequence}\r\n")), "{reply}");
    reply
}

fn field(reply: &str, name: &str) -> String {
    let line = reply.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {reply}"));
    line.trim_start_matches(':').trim().to_owned()
}

pub fn announcement(wish: Wish) -> String {
    let lines = [
        ("x-nv-video[0].clientViewportWd", wish.width),
        ("x-nv-video[0].clientViewportHt", wish.height),
        ("x-nv-video[0].maxFPS", wish.fps),
        ("x-nv-video[0].packetSize", wish.packet_size),
        ("x-nv-vqos[0].bw.maximumBitrateKbps", wish.bitrate_kbps),
        ("x-nv-vqos[0].fec.minRequiredFecPackets", 2),
        ("x-nv-vqos[0].bitStreamFormat", 0),
        ("x-ss-general.encryptionEnabled", wish.encryption),
        ("x-nv-general.featureFlags", 167),
        ("x-nv-aqos.packetDuration", 5),
    ];
    let lines: String = lines.iter().map(|(name, value)| format!("a={name}:{value} \r\n")).collect();
    format!(
        "v=0\r\no=android 0 14 IN IPv4 127.0.0.1\r\ns=NVIDIA Streaming Client\r\n{lines}t=0 0\r\nm=video 47998  \r\n"
    )
}

/// Everything up to PLAY; what the host said instead of OK, otherwise.
pub fn agree(rtsp: SocketAddr, wish: Wish) -> Result<Agreed, String> {
    let ask = |sequence, line: &str, body: &str| {
        let reply = request(rtsp, sequence, line, body);
        if reply.starts_with("RTSP/1.0 200 OK\r\n") { Ok(reply) } else { Err(reply) }
    };
    ask(1, &format!("OPTIONS rtsp://{rtsp}"), "")?;
    let described = ask(2, &format!("DESCRIBE rtsp://{rtsp}"), "")?;
    assert!(described.contains("a=x-ss-general.encryptionRequested:1") && !described.contains("sprop-parameter-sets"));
    let audio = ask(3, "SETUP streamid=audio/0/0", "")?;
    let video = ask(4, "SETUP streamid=video/0/0", "")?;
    let control = ask(5, "SETUP streamid=control/13/0", "")?;
    ask(6, "ANNOUNCE streamid=control/13/0", &announcement(wish))?;
    ask(7, "PLAY /", "")?;
    let port = |reply: &str| {
        let port = field(reply, "Transport").strip_prefix("server_port=").unwrap().parse().unwrap();
        SocketAddr::new(rtsp.ip(), port)
    };
    let ping_payload = field(&video, "X-SS-Ping-Payload");
    assert_eq!(ping_payload.len(), 16);
    Ok(Agreed {
        video: port(&video),
        control: port(&control),
        audio: port(&audio),
        ping_payload,
        connect_data: field(&control, "X-SS-Connect-Data").parse().unwrap(),
    })
}
