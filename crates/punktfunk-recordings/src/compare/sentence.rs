//! What a comparison amounts to, in one sentence: the changes that stand out most.

use super::blocks::MIN_BLOCKS;
use super::{ComparisonOutcome, FigureDifference, FigureOutcome, FigureUnit};

/// How many changes a sentence names.
const NAMED: usize = 4;

/// Places of the figures that changed, what stands out most first; of a series' durations only the highest percentile.
pub(super) fn leading(figures: &[FigureDifference]) -> Vec<usize> {
    let rank = |at: usize| match figures[at].figure.as_str() {
        "p99" => 0,
        "p95" => 1,
        "mean" => 2,
        _ => 3,
    };
    let of_one_series = |a: usize, b: usize| {
        let (a, b) = (&figures[a], &figures[b]);
        a.series == b.series && a.unit == FigureUnit::Us && b.unit == FigureUnit::Us
    };
    let mut leading: Vec<usize> = Vec::new();
    for (at, figure) in figures.iter().enumerate() {
        if !matches!(figure.outcome, FigureOutcome::Better | FigureOutcome::Worse) {
            continue;
        }
        match leading.iter_mut().find(|other| of_one_series(**other, at)) {
            Some(other) if rank(at) < rank(*other) => *other = at,
            Some(_) => {}
            None => leading.push(at),
        }
    }
    leading.sort_by(|a, b| weight(&figures[*b]).total_cmp(&weight(&figures[*a])));
    leading
}

pub(super) fn text(outcome: ComparisonOutcome, figures: &[FigureDifference], leading: &[usize]) -> String {
    let lead = match outcome {
        ComparisonOutcome::NotEnoughData => {
            return format!("Too short to tell: each run needs {MIN_BLOCKS} blocks of a second or more.");
        }
        ComparisonOutcome::NoChange => return "No change: every difference is noise.".to_owned(),
        ComparisonOutcome::Better => "Better",
        ComparisonOutcome::Worse => "Worse",
        ComparisonOutcome::Mixed => "Partly better, partly worse",
    };
    let mut named: Vec<String> = leading.iter().take(NAMED).map(|at| words(&figures[*at])).collect();
    if leading.len() > NAMED {
        named.push(format!("and {} more", leading.len() - NAMED));
    }
    format!("{lead}: {}; the rest is noise.", named.join(", "))
}

/// How far a figure stands out.
fn weight(figure: &FigureDifference) -> f64 {
    let width = figure.low.zip(figure.high).map_or(f64::INFINITY, |(low, high)| high - low);
    if width > 0.0 { figure.difference.abs() / width } else { f64::INFINITY }
}

fn words(figure: &FigureDifference) -> String {
    let sign = if figure.difference < 0.0 { '−' } else { '+' };
    let (series, name, size) = (&figure.series, &figure.figure, figure.difference.abs());
    match figure.unit {
        FigureUnit::Us => {
            let relative = figure.relative.map(|relative| format!(" ({sign}{:.0} %)", relative.abs() * 100.0));
            format!("{series} {name} {sign}{:.1} ms{}", size / 1e3, relative.unwrap_or_default())
        }
        FigureUnit::Share => format!("{series} {name} {sign}{:.1} points", size * 100.0),
        FigureUnit::PerSecond => format!("{sign}{size:.1} {name}"),
    }
}
