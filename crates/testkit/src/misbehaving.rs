//! An HTTP server that answers wrongly, on purpose.
//!
//! HTTP/1.1 without TLS, one request a connection. What it takes for granted holds for its callers: heads are small, bodies
//! come with their length or in chunks.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use ureq::http;

use crate::http::AGENT;

/// Changes a body on its way back; it is given the request, too.
pub type Rewrite = Arc<dyn Fn(&Request, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As sent: compressed, if the sender did that.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a request is answered with.
#[derive(Clone)]
pub enum Behaviour {
    /// One answer, whatever was asked.
    Answer {
        /// HTTP status.
        status: u16,
        /// Without it the header is left out.
        content_type: Option<String>,
        /// As sent.
        body: Vec<u8>,
    },
    /// 200 and the beginning of a query's answer, then white space for ever: valid JSON as far as it goes.
    EndlessBody {
        /// Between two pieces of 16 KiB; zero for as fast as it goes.
        pause: Duration,
    },
    /// 307, which keeps method and body, to another URL.
    Redirect {
        /// In full.
        location: String,
    },
    /// Takes the request and never answers it.
    Silence,
    /// Hands the request on and the answer back. 502 if nobody answers there.
    PassThrough {
        /// Scheme, host and port; the path is the request's.
        upstream: String,
        /// Changes the answer's body.
        rewrite: Option<Rewrite>,
    },
}

impl Behaviour {
    /// A status with a plain text.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Answer { status, content_type: Some("text/plain".to_owned()), body: body.into() }
    }

    /// 200 and a page, as from a login portal in the way.
    pub fn html() -> Self {
        let body = "<!doctype html><title>Sign in</title><p>Please sign in.".into();
        Self::Answer { status: 200, content_type: Some("text/html; charset=utf-8".to_owned()), body }
    }

    /// Hands everything on unchanged.
    pub fn pass_through(upstream: &str) -> Self {
        Self::PassThrough { upstream: upstream.to_owned(), rewrite: None }
    }

    /// Hands everything on and changes the answers' bodies.
    pub fn rewriting(upstream: &str, rewrite: impl Fn(&Request, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::PassThrough { upstream: upstream.to_owned(), rewrite: Some(Arc::new(rewrite)) }
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, .. } => write!(f, "Answer({status})"),
            Self::EndlessBody { pause } => write!(f, "EndlessBody({pause:?})"),
            Self::Redirect { location } => write!(f, "Redirect({location})"),
            Self::Silence => write!(f, "Silence"),
            Self::PassThrough { upstream, rewrite } => {
                write!(f, "PassThrough({upstream}, rewritten: {})", rewrite.is_some())
            }
        }
    }
}

/// The server, on a free loopback port; ends when dropped.
#[derive(Debug)]
pub struct Misbehaving {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

impl Shared {
    fn stopped(&self) -> bool {
        // Says only that the time has come; what else is shared is behind locks.
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Misbehaving {
    /// Starts it.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (behaviour, requests) = (Mutex::new(behaviour), Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { behaviour, requests, stopped: AtomicBool::new(false) });
        let acceptor = {
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, &shared))
        };
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how the requests that come from now on are answered.
    pub fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock() = behaviour;
    }

    /// What has come so far; all of it is kept.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().clone()
    }

    /// What has come since the last time, and is not kept any longer.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.shared.requests.lock())
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take()
            && woken
        {
            let joined = acceptor.join();
            assert!(joined.is_ok() || thread::panicking(), "the thread that accepts panicked");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped() {
            return;
        }
        // The client is gone already, if that is an error.
        let Ok(stream) = stream else { continue };
        let shared = shared.clone();
        thread::spawn(move || {
            // An error means that the client went away; that is no business of this server.
            serve(stream, &shared).ok();
        });
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read_request(&mut reader, &stream)? else { return Ok(()) };
    shared.requests.lock().push(request.clone());
    let behaviour = shared.behaviour.lock().clone();
    match behaviour {
        Behaviour::Answer { status, content_type, body } => {
            let content_type = content_type.map(|value| ("content-type".to_owned(), value));
            answer(&stream, status, content_type.as_slice(), &body)
        }
        Behaviour::Redirect { location } => answer(&stream, 307, &[("location".to_owned(), location)], b""),
        Behaviour::Silence => keep_open(&stream, shared),
        Behaviour::EndlessBody { pause } => endless(&stream, shared, pause),
        Behaviour::PassThrough { upstream, rewrite } => match pass_through(&request, &upstream) {
            Ok((status, headers, body)) => {
                let body = if let Some(rewrite) = rewrite { rewrite(&request, body) } else { body };
                answer(&stream, status, &headers, &body)
            }
            Err(error) => answer(&stream, 502, &[], error.to_string().as_bytes()),
        },
    }
}

/// `None` if the client closes without asking anything.
fn read_request(reader: &mut BufReader<TcpStream>, mut stream: &TcpStream) -> io::Result<Option<Request>> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request =
        Request { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding").is_some() {
        loop {
            let size = line(reader)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            read_exactly(reader, size, &mut request.body)?;
            line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(size) = request.header("content-length") {
        let size = size.parse().map_err(io::Error::other)?;
        read_exactly(reader, size, &mut request.body)?;
    }
    Ok(Some(request))
}

/// A line without its end; empty at the end of the stream.
fn line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn read_exactly(reader: &mut BufReader<TcpStream>, size: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let start = body.len();
    body.resize(start + size, 0);
    reader.read_exact(&mut body[start..])
}

fn answer(mut stream: &TcpStream, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    let status = http::StatusCode::from_u16(status).map_err(io::Error::other)?;
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    if status != http::StatusCode::NO_CONTENT {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Until the client or the server goes.
fn keep_open(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut byte = [0];
    while !shared.stopped() {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn endless(mut stream: &TcpStream, shared: &Shared, pause: Duration) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n")?;
    stream.write_all(br#"{"status":"success","data":{"resultType":"matrix","result":["#)?;
    while !shared.stopped() {
        stream.write_all(&[b' '; 16 << 10])?;
        thread::sleep(pause);
    }
    Ok(())
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

fn pass_through(request: &Request, upstream: &str) -> Result<Answer, ureq::Error> {
    let mut onward =
        http::Request::builder().method(request.method.as_str()).uri(format!("{upstream}{}", request.path));
    for (name, value) in &request.headers {
        // Those of the connection; and the body is to come back in plain text, for the sake of who rewrites it.
        let own = ["host", "connection", "content-length", "transfer-encoding", "expect", "accept-encoding", "te"];
        if !own.contains(&name.as_str()) {
            onward = onward.header(name, value);
        }
    }
    let mut response = if request.body.is_empty() {
        AGENT.run(onward.body(())?)?
    } else {
        AGENT.run(onward.body(request.body.as_slice())?)?
    };
    let body = response.body_mut().with_config().limit(1 << 30).read_to_vec()?;
    let ours = ["connection", "content-length", "transfer-encoding"];
    let headers = response.headers().iter().filter(|(name, _)| !ours.contains(&name.as_str()));
    let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    Ok((response.status().as_u16(), headers.collect(), body))
}
