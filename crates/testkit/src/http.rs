//! Plain HTTP, for asking servers on loopback.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// # Panics
    ///
    /// If it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A status that tells of an error is an answer, a redirect too; connections are not kept, for servers come and go.
pub(crate) static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).max_redirects_will_error(false);
    config.max_idle_connections(0).timeout_global(Some(Duration::from_secs(60))).proxy(None).build().into()
});

/// The answer to a GET; an error if there is no server.
pub(crate) fn get(url: &str) -> Result<Answer, ureq::Error> {
    answer(AGENT.get(url).call()?)
}

/// The answer to a POST of form fields.
pub(crate) fn post(url: &str, fields: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
    answer(AGENT.post(url).send_form(fields.iter().copied())?)
}

/// Whether a GET is answered with 200.
pub(crate) fn is_ok(url: &str) -> bool {
    get(url).is_ok_and(|answer| answer.status == 200)
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let body = response.body_mut().with_config().limit(1 << 30).read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), body })
}
