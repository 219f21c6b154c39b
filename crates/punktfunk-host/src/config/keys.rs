//! The one table of settings: what each is called in the file, the environment and on the command line.

/// Prefix of every environment variable of ours.
pub(super) const PREFIX: &str = "PUNKTFUNK_";

/// How the text of a variable or flag is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As it stands.
    Text,
    /// A whole number.
    Number,
    /// `true`, `false`, `1` or `0`.
    Switch,
    /// Texts separated by commas.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Section and name, as in the file.
    pub path: &'static str,
    /// How its text is read.
    pub shape: Shape,
    /// Default, in words.
    pub default: &'static str,
    /// What it is, and what changing it costs.
    pub help: &'static str,
}

impl Key {
    /// Name of its environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Name of its flag, without dashes in front.
    pub fn flag(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }
}

const fn key(path: &'static str, shape: Shape, default: &'static str, help: &'static str) -> Key {
    Key { path, shape, default, help }
}

/// Every setting.
pub const KEYS: &[Key] = &[
    key(
        "mgmt.bind",
        Shape::Text,
        "127.0.0.1:47990",
        "Address of the management API; anything but loopback is served over TLS",
    ),
    key(
        "mgmt.allowed_hosts",
        Shape::List,
        "none",
        "Names under which the API may be addressed, beside its own addresses",
    ),
    key("mgmt.insecure", Shape::Switch, "false", "Serve the API without TLS on a network address"),
    key("native.bind", Shape::Text, "0.0.0.0:47800", "Address of the native path's control (QUIC, UDP)"),
    key("gamestream.enabled", Shape::Switch, "false", "Serve Moonlight clients (GameStream)"),
    key(
        "gamestream.bind",
        Shape::Text,
        "0.0.0.0:47989",
        "Address of its HTTP; its other ports lie around it: TCP 47984 and 48010, UDP 47998 to 48000",
    ),
    key(
        "gamestream.announce",
        Shape::Switch,
        "false",
        "Announce the host to Moonlight clients in the local network (mDNS)",
    ),
    key("source.kind", Shape::Text, "synthetic", "Where pictures come from: synthetic, x11 or y4m"),
    key("source.width", Shape::Number, "1280", "Width of the synthetic picture, pixels"),
    key("source.height", Shape::Number, "720", "Height of the synthetic picture, pixels"),
    key("source.fps", Shape::Number, "60", "Highest frame rate that a client is granted"),
    key("source.display", Shape::Text, "$DISPLAY", "X11 display"),
    key("source.file", Shape::Text, "none", "Y4M file to replay"),
    key("encoder.kind", Shape::Text, "openh264", "openh264, or x264 where the host was built with it"),
    key("encoder.max_bitrate_kbps", Shape::Number, "50000", "Highest bit rate that a client is granted"),
    key("captures.quota_mb", Shape::Number, "0", "Room for recordings; the oldest unpinned ones go. 0 keeps all"),
    key(
        "captures.latency_target_us",
        Shape::Number,
        "0",
        "Host duration above which a frame is late; 0 is two frame times",
    ),
    key(
        "otlp.endpoint",
        Shape::Text,
        "prometheus.url's",
        "Where metrics go by OTLP: the whole URL for HTTP, scheme and authority for gRPC",
    ),
    key("otlp.traces_endpoint", Shape::Text, "none", "Where traces go by OTLP, likewise"),
    key("otlp.protocol", Shape::Text, "http/protobuf", "http/protobuf or grpc"),
    key("otlp.headers", Shape::List, "none", "name=value, sent with every export: a token, a tenant"),
    key("otlp.compression", Shape::Text, "gzip", "gzip or none"),
    key("otlp.timeout_ms", Shape::Number, "10000", "Limit of one export"),
    key("otlp.ca_file", Shape::Text, "the system's", "Certificates (PEM) to trust instead of the system's"),
    key(
        "prometheus.url",
        Shape::Text,
        "none",
        "Prometheus (or anything with its query API) that recordings are held against; OTLP goes there too unless otlp.endpoint says otherwise",
    ),
    key("prometheus.headers", Shape::List, "none", "name=value, sent with every query: a token, a tenant"),
    key("prometheus.ca_file", Shape::Text, "the system's", "Certificates (PEM) to trust instead of the system's"),
    key(
        "prometheus.settle_timeout_ms",
        Shape::Number,
        "30000",
        "How long a snapshot waits until the backend holds every count",
    ),
    key("prometheus.query_timeout_ms", Shape::Number, "30000", "Limit of one query"),
    key("prometheus.parallel_queries", Shape::Number, "2", "Queries under way at once"),
    key("perf", Shape::Switch, "false", "Log each second's stage figures, armed or not"),
];
