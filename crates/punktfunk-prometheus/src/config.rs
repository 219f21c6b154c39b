//! Where Prometheus is and how patient we are with it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// How to reach a Prometheus-compatible backend. Without a URL nothing is asked of anybody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PrometheusConfig {
    /// Base of the query API: `http://127.0.0.1:9090`, or a longer path that ends in `/api/v1`. Empty: none.
    pub url: String,
    /// Sent with every request: tokens, tenants.
    pub headers: Headers,
    /// Certificates (PEM) to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a snapshot waits until the backend holds every count, ms. Longer forgives a slower backend; the local
    /// recording is there all the while.
    pub settle_timeout_ms: u64,
    /// Limit of one query, ms.
    pub query_timeout_ms: u64,
    /// Queries under way at once. More are faster and take more of the backend.
    pub parallel_queries: usize,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            headers: Headers::default(),
            ca_file: None,
            settle_timeout_ms: 30_000,
            query_timeout_ms: 30_000,
            parallel_queries: 2,
        }
    }
}

impl PrometheusConfig {
    /// Base of the query API, without a slash at its end: the URL with `/api/v1`, unless it ends so. `None` without a URL.
    pub fn api(&self) -> Option<String> {
        let url = self.url.trim().trim_end_matches('/');
        let suffix = if url.ends_with("/api/v1") { "" } else { "/api/v1" };
        (!url.is_empty()).then(|| format!("{url}{suffix}"))
    }

    pub(crate) fn query_timeout(&self) -> Duration {
        Duration::from_millis(self.query_timeout_ms)
    }

    pub(crate) fn settle_timeout(&self) -> Duration {
        Duration::from_millis(self.settle_timeout_ms)
    }
}

/// HTTP headers, written `name=value`. Values are secrets: they never show up in a log.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<Vec<String>> for Headers {
    type Error = ConfigError;

    fn try_from(lines: Vec<String>) -> Result<Self, Self::Error> {
        let parse = |(index, line): (usize, String)| {
            let (name, value) = line.split_once('=').ok_or(ConfigError::Header { number: index + 1 })?;
            let (name, value) = (name.trim(), value.trim());
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let valid = !name.is_empty() && name.chars().all(token) && !value.contains(|c: char| c.is_control());
            if valid { Ok((name.to_owned(), value.to_owned())) } else { Err(ConfigError::Header { number: index + 1 }) }
        };
        lines.into_iter().enumerate().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| format!("{name}=…"))).finish()
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A header is not `name=value`. Its text may be a secret and is not shown.
    #[error("header {number} is not of the form name=value")]
    Header {
        /// Counted from 1.
        number: usize,
    },
    /// The URL cannot be one.
    #[error("prometheus.url `{url}`: it begins with http:// or https:// and names a host")]
    Url {
        /// What was given.
        url: String,
    },
    /// The certificates cannot be read.
    #[error("prometheus.ca_file {}: {reason}", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_their_values_to_themselves() {
        let headers = Headers::try_from(vec!["Authorization=Bearer abc=".to_owned()]).unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("Authorization", "Bearer abc=")]);
        assert!(!format!("{headers:?}").contains("abc"));
        for bad in ["secret", "=secret", "a b=secret", "a=sec\nret"] {
            let error = Headers::try_from(vec![bad.to_owned()]).unwrap_err().to_string();
            assert!(!error.contains("secret") && error.contains("header 1"), "{error}");
        }
    }
}
