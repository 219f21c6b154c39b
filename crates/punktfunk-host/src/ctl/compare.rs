//! `ctl compare`, `ctl check` and `ctl baseline`: what the API says of recordings that are held against each other.

use std::process::ExitCode;

use punktfunk_recordings::compare::{Comparison, FigureDifference, FigureOutcome, FigureUnit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Answer, Client, segment};
use super::{CheckArgs, CtlError, recording};
use crate::render::printable;

/// Exit code of a check that failed.
const FAILED: u8 = 3;

/// Exit code of a check that cannot tell.
const CANNOT_TELL: u8 = 4;

/// Reads `5` or `5%`.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let value: f64 = number.parse().map_err(|_| format!("{text} is no percentage"))?;
    if (0.0..=1000.0).contains(&value) { Ok(value) } else { Err("0 to 1000 percent".into()) }
}

/// Ids as one value of a query.
pub(super) fn list(ids: &[String]) -> String {
    ids.iter().map(|id| segment(id)).collect::<Vec<_>>().join(",")
}

/// What a person reads of a comparison: warnings, the sentences, and the figures that changed.
pub(super) fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    for warning in &comparison.warnings {
        text.push_str(&format!("  {}\n", printable(warning)));
    }
    for difference in &comparison.differences {
        text.push_str(&format!("  {}: {}\n", difference.id, printable(&difference.text)));
        let changed =
            |figure: &&FigureDifference| matches!(figure.outcome, FigureOutcome::Better | FigureOutcome::Worse);
        difference.figures.iter().filter(changed).for_each(|figure| text.push_str(&line(figure)));
    }
    text
}

fn line(figure: &FigureDifference) -> String {
    let shown = |value: f64| match figure.unit {
        FigureUnit::Us => format!("{:.2} ms", value / 1e3),
        FigureUnit::Share => format!("{:.2} %", value * 100.0),
        FigureUnit::PerSecond => format!("{value:.2}"),
    };
    let interval = figure
        .low
        .zip(figure.high)
        .map_or(String::new(), |(low, high)| format!("  ({} … {})", shown(low), shown(high)));
    format!(
        "    {} {}  {} → {}{interval}\n",
        printable(&figure.series),
        printable(&figure.figure),
        shown(figure.baseline),
        shown(figure.value)
    )
}

/// What the API says of a check.
#[derive(Debug, Deserialize)]
struct Checked {
    outcome: String,
    baseline: String,
    id: String,
    regressions: Vec<FigureDifference>,
    comparison: Comparison,
}

/// Asks, and says it by the exit code, too.
pub(super) async fn check(client: &Client, args: CheckArgs) -> Result<(Answer, String, ExitCode), CtlError> {
    let id = match args.id {
        Some(id) => id,
        None => newest(client).await?,
    };
    let mut path = format!("{}/check?max_regression_percent={}", recording(&id), args.max_regression);
    if let Some(baseline) = args.baseline {
        path.push_str(&format!("&baseline={}", segment(&baseline)));
    }
    let answer = client.get(&path).await?;
    let checked: Checked = answer.parse()?;
    let (word, code) = match checked.outcome.as_str() {
        "pass" => ("passed", ExitCode::SUCCESS),
        "fail" => ("FAILED", ExitCode::from(FAILED)),
        "not_comparable" => ("cannot tell: the runs did different work", ExitCode::from(CANNOT_TELL)),
        _ => ("cannot tell: too short", ExitCode::from(CANNOT_TELL)),
    };
    let mut text = format!("{} against {}: {word}\n", printable(&checked.id), printable(&checked.baseline));
    for warning in &checked.comparison.warnings {
        text.push_str(&format!("  {}\n", printable(warning)));
    }
    checked.regressions.iter().for_each(|figure| text.push_str(&line(figure)));
    for difference in &checked.comparison.differences {
        text.push_str(&format!("  {}\n", printable(&difference.text)));
    }
    Ok((answer, text, code))
}

/// The newest recording that can be read.
async fn newest(client: &Client) -> Result<String, CtlError> {
    let page = client.get("stats/recordings?limit=10").await?.parse::<Value>()?;
    let readable = page["recordings"].as_array().into_iter().flatten().find(|entry| !entry["meta"].is_null());
    let id = readable.and_then(|entry| entry["id"].as_str()).map(str::to_owned);
    id.ok_or_else(|| CtlError::Answer("there is no recording to check".into()))
}

/// Says, pins or forgets the baseline.
pub(super) async fn baseline(client: &Client, id: Option<String>, clear: bool) -> Result<(Answer, String), CtlError> {
    let answer = match id {
        Some(id) => client.put("stats/baseline", &json!({ "id": id })).await?,
        None if clear => return Ok((client.delete("stats/baseline").await?, "no baseline\n".to_owned())),
        None => client.get("stats/baseline").await?,
    };
    let text = match answer.parse::<Value>()?["id"].as_str() {
        Some(id) => format!("{}\n", printable(id)),
        None => "no baseline\n".to_owned(),
    };
    Ok((answer, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_may_carry_its_sign() {
        assert_eq!((percent("5%"), percent("2.5"), percent("0 %")), (Ok(5.0), Ok(2.5), Ok(0.0)));
        assert!(percent("x").is_err() && percent("-1").is_err() && percent("NaN").is_err());
    }
}
