//! What a comparison amounts to, in one sentence: the changes that stand out most.

use super::blocks::MIN_BLOCKS;
use super::{ComparisonOutcome, FigureDifference, FigureOutcome, FigureUnit};
use crate::language::Language;

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

pub(super) fn write(
    outcome: ComparisonOutcome,
    figures: &[FigureDifference],
    leading: &[usize],
    language: Language,
) -> String {
    let lead = match outcome {
        ComparisonOutcome::NotEnoughData => {
            return match language {
                Language::English => {
                    format!("Too short to tell: each run needs {MIN_BLOCKS} blocks of a second or more.")
                }
                Language::German => format!(
                    "Zu kurz, um es zu sagen: Jeder Lauf braucht {MIN_BLOCKS} Abschnitte von einer Sekunde oder mehr."
                ),
            };
        }
        ComparisonOutcome::NoChange => {
            let none =
                language.of("No change: every difference is noise.", "Keine Änderung: Jeder Unterschied ist Rauschen.");
            return none.to_owned();
        }
        ComparisonOutcome::Better => language.of("Better", "Besser"),
        ComparisonOutcome::Worse => language.of("Worse", "Schlechter"),
        ComparisonOutcome::Mixed => language.of("Partly better, partly worse", "Teils besser, teils schlechter"),
    };
    let named = leading.iter().filter_map(|at| figures.get(*at)).take(NAMED);
    let mut named: Vec<String> = named.map(|figure| words(figure, language)).collect();
    if leading.len() > NAMED {
        let more = leading.len() - NAMED;
        named.push(match language {
            Language::English => format!("and {more} more"),
            Language::German => format!("und {more} weitere"),
        });
    }
    format!("{lead}: {}; {}.", named.join(", "), language.of("the rest is noise", "der Rest ist Rauschen"))
}

/// A series, as it is called; stages keep their names.
pub(crate) fn series_name(figure: &FigureDifference, language: Language) -> &str {
    match figure.series.as_str() {
        "frames" if figure.unit != FigureUnit::Us => language.of("frames", "Bilder"),
        "packets" if figure.unit != FigureUnit::Us => language.of("packets", "Pakete"),
        name => name,
    }
}

/// What is told of a series.
pub(crate) fn figure_name(figure: &FigureDifference, language: Language) -> &str {
    match figure.figure.as_str() {
        "mean" => language.of("mean", "Mittel"),
        "late" => language.of("late", "spät"),
        "stuttered" => language.of("stuttered", "geruckelt"),
        "dropped" => language.of("dropped", "verworfen"),
        "lost" => language.of("lost", "verloren"),
        name => name,
    }
}

/// How far a figure stands out.
fn weight(figure: &FigureDifference) -> f64 {
    let width = figure.low.zip(figure.high).map_or(f64::INFINITY, |(low, high)| high - low);
    if width > 0.0 { figure.difference.abs() / width } else { f64::INFINITY }
}

fn words(figure: &FigureDifference, language: Language) -> String {
    let sign = if figure.difference < 0.0 { '−' } else { '+' };
    let (series, name) = (series_name(figure, language), figure_name(figure, language));
    let size = |unit: f64| language.decimal(figure.difference.abs() / unit, 1);
    match figure.unit {
        FigureUnit::Us => {
            let relative = figure.relative.map(|relative| format!(" ({sign}{:.0} %)", relative.abs() * 100.0));
            format!("{series} {name} {sign}{} ms{}", size(1e3), relative.unwrap_or_default())
        }
        FigureUnit::Share => {
            format!("{series} {name} {sign}{} {}", size(0.01), language.of("points", "Prozentpunkte"))
        }
        FigureUnit::PerSecond => format!("{sign}{} {name}", size(1.0)),
    }
}
