//! A gRPC server on a free port, down to the frames: its answers are what the test writes.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};

use flate2::read::GzDecoder;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use ureq::http::{HeaderMap, Request, Response};

use super::authority::Authority;

/// What the server does with a call.
#[derive(Clone)]
pub enum Answer {
    /// A message and success.
    Message(Vec<u8>),
    /// A status with its message and details.
    Status(u32, &'static str, Option<Vec<u8>>),
    /// Nothing for as long as the connection lives.
    Hang,
    /// The stream is broken off.
    Reset,
    /// The whole connection is.
    Disconnect,
}

pub struct Call {
    pub path: String,
    pub headers: HeaderMap,
    pub compressed: bool,
    pub message: Vec<u8>,
}

type Script = Arc<Mutex<dyn FnMut(usize) -> Answer + Send>>;

pub struct Server {
    pub address: SocketAddr,
    pub calls: mpsc::Receiver<Call>,
}

impl Server {
    pub fn start(tls: Option<&Authority>, script: impl FnMut(usize) -> Answer + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let tls = tls.map(|authority| {
            let mut config = rustls::ServerConfig::clone(&authority.config);
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let (tell, calls) = mpsc::channel();
        let script: Script = Arc::new(Mutex::new(script));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let count = Arc::new(Mutex::new(0));
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (tls, tell, script, count) = (tls.clone(), tell.clone(), script.clone(), count.clone());
                    tokio::spawn(async move {
                        match tls {
                            None => serve(stream, tell, script, count).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    serve(stream, tell, script, count).await;
                                }
                            }
                        }
                    });
                }
            });
        });
        Self { address, calls }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tell: mpsc::Sender<Call>,
    script: Script,
    count: Arc<Mutex<usize>>,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let broken_off = Arc::new(tokio::sync::Notify::new());
    loop {
        let (request, respond) = tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok(accepted)) => accepted,
                _ => return,
            },
            () = broken_off.notified() => return,
        };
        let (tell, script, count, broken_off) = (tell.clone(), script.clone(), count.clone(), broken_off.clone());
        tokio::spawn(async move {
            let call = read(request).await;
            let number = {
                let mut count = count.lock().unwrap();
                *count += 1;
                *count - 1
            };
            let answer = (script.lock().unwrap())(number);
            // A test that has seen enough has dropped its end.
            let _ = tell.send(call);
            match answer {
                Answer::Disconnect => broken_off.notify_one(),
                answer => reply(respond, answer).await,
            }
        });
    }
}

async fn read(request: Request<RecvStream>) -> Call {
    let (parts, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    let (compressed, mut message) = (body[0] == 1, body[5..].to_vec());
    assert_eq!(u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize, message.len());
    if compressed {
        let mut plain = Vec::new();
        GzDecoder::new(&message[..]).read_to_end(&mut plain).unwrap();
        message = plain;
    }
    Call { path: parts.uri.path().to_owned(), headers: parts.headers, compressed, message }
}

async fn reply(mut respond: SendResponse<bytes::Bytes>, answer: Answer) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut trailers = HeaderMap::new();
    match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Reset | Answer::Disconnect => respond.send_reset(Reason::INTERNAL_ERROR),
        Answer::Message(message) => {
            let mut body = respond.send_response(head, false).unwrap();
            let mut frame = vec![0];
            frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            frame.extend_from_slice(&message);
            let _ = body.send_data(frame.into(), false);
            trailers.insert("grpc-status", "0".parse().unwrap());
            let _ = body.send_trailers(trailers);
        }
        Answer::Status(code, message, details) => {
            let mut body = respond.send_response(head, false).unwrap();
            trailers.insert("grpc-status", code.into());
            trailers.insert("grpc-message", message.parse().unwrap());
            if let Some(details) = details {
                let details = tonic::metadata::MetadataValue::<tonic::metadata::Binary>::from_bytes(&details);
                trailers.insert("grpc-status-details-bin", details.as_encoded_bytes().try_into().unwrap());
            }
            body.send_trailers(trailers).unwrap();
        }
    }
}

pub fn ok() -> Answer {
    Answer::Message(Vec::new())
}
