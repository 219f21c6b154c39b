//! The two secrets of a stream's data plane, as both ends derive them from their QUIC connection.

use punktfunk_net::seal::DirectionKey;

/// Keys of one stream: one per direction.
///
/// They must be fresh for every stream, since packet numbers start at 0: export them with the stream's id as context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeys {
    /// Seals what the host sends.
    pub from_host: DirectionKey,
    /// Seals what the client sends.
    pub from_client: DirectionKey,
}

impl DataKeys {
    /// Bytes to export from the TLS session for one stream.
    pub const BYTES: usize = 2 * DirectionKey::BYTES;

    /// Splits exported secret bytes: the host's direction first.
    pub fn from_exported(secret: &[u8; Self::BYTES]) -> Self {
        let (mut host, mut client) = ([0; DirectionKey::BYTES], [0; DirectionKey::BYTES]);
        host.copy_from_slice(&secret[..DirectionKey::BYTES]);
        client.copy_from_slice(&secret[DirectionKey::BYTES..]);
        Self { from_host: DirectionKey::from_secret(&host), from_client: DirectionKey::from_secret(&client) }
    }
}
