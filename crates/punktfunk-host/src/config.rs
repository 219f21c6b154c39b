//! The host's configuration: one struct, filled from a file, the environment and flags, each above the one before.
//!
//! [`KEYS`] is the one table of settings. A key `mgmt.bind` is `bind` in the file's section `[mgmt]`, `PUNKTFUNK_MGMT_BIND`
//! in the environment and `--mgmt-bind` on the command line.

mod keys;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use punktfunk_otlp::OtlpConfig;
use punktfunk_prometheus::PrometheusConfig;
use serde::Deserialize;
use toml::{Table, Value};

use self::keys::PREFIX;
pub use self::keys::{KEYS, Key, Shape};

/// Directory that holds everything the host keeps; stands for `~/.config/punktfunk`.
pub const CONFIG_DIR: &str = "PUNKTFUNK_CONFIG_DIR";

/// The configuration, checked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// The management API.
    pub mgmt: MgmtConfig,
    /// The native path.
    pub native: NativeConfig,
    /// The GameStream path.
    pub gamestream: GameStreamConfig,
    /// Where pictures come from.
    pub source: SourceConfig,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Recordings.
    pub captures: CapturesConfig,
    /// Where metrics and traces go.
    pub otlp: OtlpConfig,
    /// The metrics backend that recordings are held against.
    pub prometheus: PrometheusConfig,
    /// Log each second's stage figures.
    pub perf: bool,
}

/// The management API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct MgmtConfig {
    /// Its address.
    pub bind: SocketAddr,
    /// Further names in `Host`.
    pub allowed_hosts: Vec<String>,
    /// No TLS on a network address.
    pub insecure: bool,
}

impl Default for MgmtConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 47990)), allowed_hosts: Vec::new(), insecure: false }
    }
}

/// The native path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct NativeConfig {
    /// Address of its control.
    pub bind: SocketAddr,
}

impl Default for NativeConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([0, 0, 0, 0], 47800)) }
    }
}

/// The GameStream path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct GameStreamConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Address of its HTTP.
    pub bind: SocketAddr,
    /// Whether it is announced in the local network.
    pub announce: bool,
}

impl Default for GameStreamConfig {
    fn default() -> Self {
        Self { enabled: false, bind: SocketAddr::from(([0, 0, 0, 0], 47989)), announce: false }
    }
}

/// Kinds of frame source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Drawn by the host itself.
    #[default]
    Synthetic,
    /// A running X11 display.
    X11,
    /// A file.
    Y4m,
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct SourceConfig {
    /// Kind of source.
    pub kind: SourceKind,
    /// Width of the synthetic picture.
    pub width: u32,
    /// Height of the synthetic picture.
    pub height: u32,
    /// Highest frame rate.
    pub fps: u32,
    /// X11 display; `$DISPLAY` if `None`.
    pub display: Option<String>,
    /// Y4M file.
    pub file: Option<PathBuf>,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self { kind: SourceKind::Synthetic, width: 1280, height: 720, fps: 60, display: None, file: None }
    }
}

/// Kinds of encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderKind {
    /// In every build.
    #[default]
    OpenH264,
    /// In a build with the feature of that name.
    X264,
}

/// The encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct EncoderConfig {
    /// Kind of encoder.
    pub kind: EncoderKind,
    /// Highest bit rate that a client is granted, kb/s.
    pub max_bitrate_kbps: u64,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { kind: EncoderKind::OpenH264, max_bitrate_kbps: 50_000 }
    }
}

/// Recordings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CapturesConfig {
    /// Room for recordings, MB; 0 keeps all.
    pub quota_mb: u64,
    /// Host duration above which a frame is late, µs; 0 is two frame times.
    pub latency_target_us: u64,
}

impl CapturesConfig {
    /// Room for recordings in bytes, if it is limited.
    pub fn quota_bytes(&self) -> Option<u64> {
        (self.quota_mb > 0).then(|| self.quota_mb.saturating_mul(1_000_000))
    }

    /// The latency target, if it is set.
    pub fn latency_target(&self) -> Option<Duration> {
        (self.latency_target_us > 0).then(|| Duration::from_micros(self.latency_target_us))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither the variable nor a home directory says where.
    #[error("no place for the configuration: set {CONFIG_DIR} or HOME")]
    NoDirectory,
    /// The file exists but cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A name that means nothing.
    #[error("{place}: there is no setting {name:?}; did you mean {nearest:?}?")]
    Unknown {
        /// File or environment.
        place: String,
        /// As it was written.
        name: String,
        /// The nearest name that exists.
        nearest: String,
    },
    /// A value that cannot be read or is out of its limits.
    #[error("{name}: {reason}")]
    Value {
        /// The setting, as it was written.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// The configuration directory: [`CONFIG_DIR`], or `punktfunk` in the user's configuration.
///
/// # Errors
/// When neither it nor a home directory is set.
pub fn directory(variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, ConfigError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(CONFIG_DIR)
        .or_else(|| set("XDG_CONFIG_HOME").map(|dir| dir.join("punktfunk")))
        .or_else(|| set("HOME").map(|home| home.join(".config/punktfunk")))
        .ok_or(ConfigError::NoDirectory)
}

/// Reads `config.toml` of the directory, if there is one, then the environment, then the flags.
///
/// # Errors
/// When something cannot be read, has no meaning, or is out of its limits; the error names it as it was written.
pub fn load(
    directory: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[(&'static Key, String)],
) -> Result<HostConfig, ConfigError> {
    let path = directory.join("config.toml");
    let mut table = match std::fs::read_to_string(&path) {
        Ok(text) => text.parse().map_err(|source| ConfigError::Syntax { path: path.clone(), source })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::new(),
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    for (name, value) in environment {
        if name == CONFIG_DIR || !name.starts_with(PREFIX) {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
            return Err(unknown("environment", &name, KEYS.iter().map(Key::variable)));
        };
        set(&mut table, key, &name, &value)?;
    }
    for (key, value) in flags {
        set(&mut table, key, &format!("--{}", key.flag()), value)?;
    }
    read(table, &path)
}

/// Puts the text of a variable or flag into the table.
fn set(table: &mut Table, key: &Key, name: &str, text: &str) -> Result<(), ConfigError> {
    let wrong =
        |expected: &str| ConfigError::Value { name: name.to_owned(), reason: format!("{text:?} is not {expected}") };
    let value = match key.shape {
        Shape::Text => Value::String(text.to_owned()),
        Shape::Number => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Shape::Switch => Value::Boolean(match text {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(wrong("true, false, 1 or 0")),
        }),
        Shape::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
    };
    match key.path.split_once('.') {
        None => {
            table.insert(key.path.to_owned(), value);
        }
        Some((section, name)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn read(table: Table, path: &Path) -> Result<HostConfig, ConfigError> {
    let mut strangers = Vec::new();
    let config: HostConfig = serde_ignored::deserialize(table, |stranger| strangers.push(stranger.to_string()))
        .map_err(|source: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), source })?;
    if let Some(stranger) = strangers.first() {
        return Err(unknown(&path.display().to_string(), stranger, KEYS.iter().map(|key| key.path.to_owned())));
    }
    let limits = [
        ("source.fps", u64::from(config.source.fps), 1, 240),
        ("source.width", u64::from(config.source.width), 64, 7680),
        ("source.height", u64::from(config.source.height), 64, 4320),
        ("encoder.max_bitrate_kbps", config.encoder.max_bitrate_kbps, 100, 1_000_000),
        ("prometheus.settle_timeout_ms", config.prometheus.settle_timeout_ms, 0, 3_600_000),
        ("prometheus.query_timeout_ms", config.prometheus.query_timeout_ms, 100, 3_600_000),
        ("prometheus.parallel_queries", config.prometheus.parallel_queries as u64, 1, 16),
    ];
    for (name, value, least, most) in limits {
        if value < least || value > most {
            return Err(ConfigError::Value {
                name: name.into(),
                reason: format!("{value} is not within {least} to {most}"),
            });
        }
    }
    for (name, value) in [("source.width", config.source.width), ("source.height", config.source.height)] {
        if value % 2 != 0 {
            return Err(ConfigError::Value {
                name: name.into(),
                reason: format!("{value} is odd; 4:2:0 video needs even sizes"),
            });
        }
    }
    if config.encoder.kind == EncoderKind::X264 && !cfg!(feature = "x264") {
        return Err(ConfigError::Value {
            name: "encoder.kind".into(),
            reason: "this host was built without x264: build it with `--features x264`".into(),
        });
    }
    if config.source.kind == SourceKind::Y4m && config.source.file.is_none() {
        return Err(ConfigError::Value {
            name: "source.file".into(),
            reason: "source.kind = \"y4m\" needs a file".into(),
        });
    }
    Ok(config)
}

fn unknown(place: &str, name: &str, known: impl Iterator<Item = String>) -> ConfigError {
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default();
    ConfigError::Unknown { place: place.to_owned(), name: name.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<HostConfig, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), file).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let flags: Vec<_> = flags
            .iter()
            .map(|(flag, value)| (KEYS.iter().find(|key| key.flag() == *flag).unwrap(), (*value).to_owned()))
            .collect();
        load(dir.path(), environment, &flags)
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        assert_eq!(load(Path::new("/nonexistent"), [], &[]).unwrap(), HostConfig::default());
    }

    #[test]
    fn flags_stand_above_the_environment_and_that_above_the_file() {
        let file = "perf = true\n[source]\nfps = 30\nwidth = 640\nheight = 360";
        let config = load_with(
            file,
            &[("PUNKTFUNK_SOURCE_FPS", "50"), ("PUNKTFUNK_SOURCE_WIDTH", "800"), ("PATH", "/bin")],
            &[("source-width", "1024")],
        )
        .unwrap();
        assert_eq!((config.source.fps, config.source.width, config.source.height, config.perf), (50, 1024, 360, true));
    }

    #[test]
    fn an_unknown_name_fails_and_names_the_nearest() {
        let error = load_with("[mgmt]\nbnd = \"127.0.0.1:1\"", &[], &[]).unwrap_err().to_string();
        assert!(error.contains("mgmt.bnd") && error.contains("mgmt.bind"), "{error}");
        let error = load_with("", &[("PUNKTFUNK_MGMT_BINT", "x")], &[]).unwrap_err().to_string();
        assert!(error.contains("PUNKTFUNK_MGMT_BIND"), "{error}");
    }

    #[test]
    fn values_out_of_their_limits_say_what_would_be_right() {
        for (flag, value, hint) in [
            ("source-fps", "0", "1 to 240"),
            ("source-fps", "many", "whole number"),
            ("source-width", "641", "even"),
            ("perf", "maybe", "true, false"),
            ("mgmt-bind", "nowhere", "socket address"),
            ("source-kind", "camera", "synthetic"),
            ("source-kind", "y4m", "needs a file"),
            ("encoder-kind", "vp8", "openh264"),
            #[cfg(not(feature = "x264"))]
            ("encoder-kind", "x264", "--features x264"),
        ] {
            let error = load_with("", &[], &[(flag, value)]).unwrap_err().to_string();
            assert!(error.contains(hint), "{flag}: {error}");
        }
    }

    #[test]
    fn every_key_reaches_the_configuration() {
        for key in KEYS {
            if key.path == "encoder.kind" && !cfg!(feature = "x264") {
                continue;
            }
            let text = match (key.path, key.shape) {
                ("encoder.kind", _) => "x264",
                ("mgmt.bind" | "native.bind" | "gamestream.bind", _) => "127.0.0.1:9",
                ("source.kind", _) => "x11",
                ("prometheus.headers" | "otlp.headers", _) => "name=value",
                ("otlp.protocol", _) => "grpc",
                ("otlp.compression", _) => "none",
                ("prometheus.parallel_queries", _) => "4",
                (_, Shape::Number) => "128",
                (_, Shape::Switch) => "true",
                _ => "text",
            };
            let changed = load_with("", &[(&key.variable(), text)], &[]).unwrap();
            assert_ne!(changed, HostConfig::default(), "{}", key.path);
        }
    }

    #[test]
    fn the_directory_follows_its_variable_then_the_user() {
        let only = |wanted: &'static str| move |name: &str| (name == wanted).then(|| "/d".to_owned());
        assert_eq!(directory(only(CONFIG_DIR)).unwrap(), Path::new("/d"));
        assert_eq!(directory(only("XDG_CONFIG_HOME")).unwrap(), Path::new("/d/punktfunk"));
        assert_eq!(directory(only("HOME")).unwrap(), Path::new("/d/.config/punktfunk"));
        assert!(matches!(directory(|_| None), Err(ConfigError::NoDirectory)));
    }
}
