//! `ctl query`: the questions of `deploy/PROMQL.md`, printed or asked of a Prometheus. It needs no host.

use std::time::SystemTime;

use clap::Args;
use punktfunk_prometheus::{Answer, Client, PrometheusConfig};

use super::CtlError;
use crate::render;

/// The questions, as people read them.
const TEXT: &str = include_str!("../../../../deploy/PROMQL.md");

/// Which question, and whether to ask it.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Name of the question; without one, all are listed
    name: Option<String>,
    /// Ask the Prometheus at this URL instead of printing the query
    #[arg(long, value_name = "URL", requires = "name")]
    run: Option<String>,
}

struct Question {
    name: &'static str,
    question: &'static str,
    promql: &'static str,
}

/// A heading `## name: question`, and the first query below it.
fn questions() -> impl Iterator<Item = Question> {
    TEXT.split("\n## ").skip(1).filter_map(|section| {
        let (name, rest) = section.split_once(": ")?;
        let (question, rest) = rest.split_once('\n')?;
        let (_, rest) = rest.split_once("```promql\n")?;
        let (promql, _) = rest.split_once("\n```")?;
        Some(Question { name, question, promql })
    })
}

/// What is to be printed.
///
/// # Errors
/// When there is no such question, or Prometheus cannot be asked. Blocks while it answers.
pub fn answer(args: &QueryArgs) -> Result<String, CtlError> {
    let Some(name) = &args.name else {
        return Ok(questions().map(|question| format!("  {:<10} {}\n", question.name, question.question)).collect());
    };
    let question = questions().find(|question| question.name == name);
    let question = question.ok_or_else(|| CtlError::Query(format!("there is no query {name}: see ctl query")))?;
    let Some(url) = &args.run else { return Ok(format!("{}\n", question.promql)) };
    let config = PrometheusConfig { url: url.clone(), ..PrometheusConfig::default() };
    let client = Client::new(&config).map_err(|error| CtlError::Query(error.to_string()))?;
    let client = client.ok_or_else(|| CtlError::Query("--run needs the URL of a Prometheus".to_owned()))?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let answer = client.instant(question.promql, now).map_err(|error| CtlError::Query(error.to_string()))?;
    Ok(shown(&answer))
}

fn shown(answer: &Answer) -> String {
    if answer.series.is_empty() {
        return "no data at this moment: metrics of frames are there while a capture is armed\n".to_owned();
    }
    let line = |series: &punktfunk_prometheus::Series| {
        let labels: Vec<String> =
            series.labels.iter().map(|(name, value)| format!("{name}={}", render::printable(value))).collect();
        let value = series.points.last().map_or_else(|| "–".to_owned(), |(_, value)| format!("{value:.6}"));
        format!("  {value:>14}  {}\n", labels.join(" "))
    };
    let warnings = answer.warnings.iter().map(|warning| format!("  {}\n", render::printable(warning)));
    answer.series.iter().map(line).chain(warnings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_questions_have_a_name_and_a_query_each() {
        let all: Vec<Question> = questions().collect();
        assert_eq!(all.len(), 10);
        for question in all {
            assert!(question.question.ends_with('?') && !question.promql.is_empty(), "{}", question.name);
            let args = QueryArgs { name: Some(question.name.to_owned()), run: None };
            assert_eq!(answer(&args).unwrap(), format!("{}\n", question.promql));
        }
        assert!(answer(&QueryArgs { name: Some("nope".to_owned()), run: None }).is_err());
        assert_eq!(answer(&QueryArgs { name: None, run: None }).unwrap().lines().count(), 10);
    }
}
