//! Graphs as inline SVG: areas stacked on each other, lines, one limit. A gap in the data is a gap in the drawing.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::language::Language;

/// Stages that have a colour of their own; the style sheet names it like the stage.
const STAGES: [&str; 6] = ["capture", "submit", "encode", "packetize", "send", "queue"];

/// The colour of a stage.
pub(super) fn stage(name: &str) -> &'static str {
    STAGES.into_iter().find(|known| *known == name).unwrap_or("other")
}

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;

/// Most points of a line: one for two pixels. Of those that fall together the largest is drawn.
const COLUMNS: u64 = 460;

/// A limit that is so many times as high as the highest value is not drawn.
const FAR: f64 = 3.0;

/// Most marks that are drawn; more would be a grey wall.
const MARKS: usize = 100;

/// One series: ms since the start, and the value; `None` where there is none.
pub(super) struct Line {
    pub(super) name: String,
    /// A class of the style sheet.
    pub(super) colour: &'static str,
    pub(super) points: Vec<(u64, Option<f64>)>,
}

/// One graph.
pub(super) struct Graph<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    /// Stacked, the first at the bottom.
    pub(super) areas: Vec<Line>,
    pub(super) lines: Vec<Line>,
    /// A line across, and what it stands for.
    pub(super) limit: Option<(&'static str, f64)>,
    /// Lines from top to bottom, ms since the start.
    pub(super) marks: Vec<u64>,
    /// Where it begins, ms since the start.
    pub(super) start: u64,
    /// Of what it says itself, and of its numbers.
    pub(super) language: Language,
}

/// Values at equal distances of time, the first one at `first` ms.
struct Columns {
    first: u64,
    values: Values,
}

type Values = Vec<Option<f64>>;

impl Graph<'_> {
    pub(super) fn draw(&self) -> Markup {
        let all = || self.areas.iter().chain(&self.lines);
        let end = all().flat_map(|line| &line.points).map(|(t, _)| *t).max().unwrap_or_default();
        if end <= self.start {
            let nothing = self.language.of("nothing was measured", "nichts wurde gemessen");
            return html! { figure { figcaption { (self.title) ": " (nothing) } } };
        }
        let width = all().map(Line::step).max().unwrap_or(1).max((end - self.start).div_ceil(COLUMNS)).max(1);
        let lines: Vec<Columns> = self.lines.iter().map(|line| line.columns(width)).collect();
        // All areas are of one session, so they have their values at the same times.
        let areas: Vec<Columns> = self.areas.iter().map(|area| area.columns(width)).collect();
        let mut below: Values = vec![Some(0.0); areas.first().map_or(0, |area| area.values.len())];
        let mut stack = Vec::new();
        for area in &areas {
            let above: Values = below.iter().zip(&area.values).map(|(a, b)| Some((*a)? + (*b)?)).collect();
            stack.push((area.first, below, above.clone()));
            below = above;
        }
        let values =
            stack.iter().flat_map(|(_, _, above)| above).chain(lines.iter().flat_map(|line| &line.values)).flatten();
        let highest = values.copied().fold(0.0, f64::max);
        // A limit far above everything would press what is drawn to the floor: it is only named.
        let limit = self.limit.map(|(_, limit)| limit).filter(|limit| *limit <= highest * FAR);
        let top = nice(limit.map_or(highest, |limit| limit.max(highest)));
        let length = end - self.start;
        let at = |ms: u64| LEFT + (WIDTH - LEFT) * ms.saturating_sub(self.start) as f64 / length as f64;
        let x = |first: u64| move |column: usize| at((first + column as u64 * width).min(end));
        let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top);
        let tick = |part: u32| top * f64::from(part) / 4.0;
        let number = |value: f64, top: f64| self.language.number(&tick_text(value, top));
        html! {
            figure {
                figcaption {
                    (self.title) ", " (self.unit) br;
                    @for line in all() { span.key { svg viewBox="0 0 10 8" aria-hidden="true" { rect class={ "a " (line.colour) } width="10" height="8" {} } bdi { (line.name) } } }
                    @if let Some((name, value)) = self.limit {
                        span.key {
                            svg viewBox="0 0 10 8" aria-hidden="true" { line.limit x1="0" x2="10" y1="4" y2="4" {} }
                            (name) " " (number(value, value))
                            @if limit.is_none() { (self.language.of(", beyond this graph", ", höher als dieser Graph")) }
                        }
                    }
                    @if !self.marks.is_empty() {
                        span.key { svg viewBox="0 0 10 8" aria-hidden="true" { line.mark x1="5" x2="5" y1="0" y2="8" {} } (self.language.of("markers", "Marken")) }
                    }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.title) {
                    @for part in 0..=4 {
                        line.grid x1=(LEFT) x2=(WIDTH) y1=(y(tick(part))) y2=(y(tick(part))) {}
                        text x=(LEFT - 6.0) y=(y(tick(part))) text-anchor="end" dominant-baseline="middle" { (number(tick(part), top)) }
                    }
                    @for part in 0..=4_u64 {
                        text x=(at(self.start + length * part / 4)) y=(HEIGHT - 6.0) text-anchor=(if part == 0 { "start" } else if part == 4 { "end" } else { "middle" }) {
                            (self.language.number(&clock(self.start + length * part / 4)))
                        }
                    }
                    @for (area, (first, below, above)) in self.areas.iter().zip(&stack) {
                        path class={ "a " (area.colour) } d=(filled(below, above, &x(*first), &y)) {}
                    }
                    @for (line, values) in self.lines.iter().zip(&lines) {
                        path class={ "s " (line.colour) } d=(stroked(&values.values, &x(values.first), &y)) {}
                    }
                    @if let Some(limit) = limit { line.limit x1=(LEFT) x2=(WIDTH) y1=(y(limit)) y2=(y(limit)) {} }
                    @for ms in self.marks.iter().filter(|ms| (self.start..=end).contains(*ms)).take(MARKS) { line.mark x1=(at(*ms)) x2=(at(*ms)) y1=(TOP) y2=(HEIGHT - BOTTOM) {} }
                }
            }
        }
    }
}

impl Line {
    /// The usual distance of two points, ms.
    fn step(&self) -> u64 {
        let mut steps: Vec<u64> = self.points.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or_default()
    }

    /// The largest value of each column. Points stand nearest to the middle of theirs: one that comes a little early or late
    /// leaves no gap beside it.
    fn columns(&self, width: u64) -> Columns {
        let first = self.points.first().map_or(0, |(t, _)| *t);
        let column = |t: u64| ((t.saturating_sub(first) + width / 2) / width) as usize;
        let mut values: Values = vec![None; self.points.last().map_or(0, |(t, _)| column(*t) + 1)];
        for (t, value) in &self.points {
            let place = &mut values[column(*t)];
            *place = [*place, *value].into_iter().flatten().reduce(f64::max);
        }
        Columns { first, values }
    }
}

/// Ranges of columns that have a value.
fn runs(values: &Values) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + values[from..].iter().position(Option::is_some)?;
        let end = start + values[start..].iter().position(Option::is_none).unwrap_or(values.len() - start);
        from = end;
        Some(start..end)
    })
}

/// Writing to a String cannot fail, so what it says is not looked at.
fn stroked(values: &Values, x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let mut d = String::new();
    for run in runs(values) {
        for (at, column) in run.clone().enumerate() {
            let value = y(values[column].unwrap_or_default());
            write!(d, "{}{:.1} {value:.1}", if at == 0 { 'M' } else { 'L' }, x(column)).ok();
        }
        if run.len() == 1 {
            // One value alone has no length; this makes it a dash.
            d.push_str("h2");
        }
    }
    d
}

fn filled(below: &Values, above: &Values, x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let mut d = String::new();
    for run in runs(above) {
        for (at, column) in run.clone().enumerate() {
            let value = y(above[column].unwrap_or_default());
            write!(d, "{}{:.1} {value:.1}", if at == 0 { 'M' } else { 'L' }, x(column)).ok();
        }
        for column in run.rev() {
            write!(d, "L{:.1} {:.1}", x(column), y(below[column].unwrap_or_default())).ok();
        }
        d.push('Z');
    }
    d
}

/// The next round number whose quarters are round, too.
fn nice(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0].map(|step| step * unit);
    steps.into_iter().find(|top| *top >= value).unwrap_or(10.0 * unit)
}

/// A number on an axis that ends at `top`: no digit that is not needed, and none missing.
fn tick_text(value: f64, top: f64) -> String {
    let digits = (2.0 - top.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn clock(ms: u64) -> String {
    let s = ms / 1000;
    if s < 60 { format!("{:.1} s", ms as f64 / 1e3) } else { format!("{}:{:02}", s / 60, s % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_have_the_colours_that_they_have_on_the_dashboards() {
        let style = include_str!("report.css");
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../../../../dashboards/colours.json")).unwrap();
        let holds = |name: &str, colour: &serde_json::Value| {
            let [light, dark] = ["light", "dark"].map(|scheme| colour[scheme].as_str().unwrap());
            let rule = format!(".{name} {{ --c: light-dark({light}, {dark}); }}");
            assert!(style.contains(&rule), "report.css wants {rule}");
        };
        let stages = table["stages"].as_array().unwrap();
        let names: Vec<&str> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
        assert_eq!(names, STAGES);
        stages.iter().zip(STAGES).for_each(|(colour, name)| holds(name, colour));
        ["host", "new", "goodput", "target", "other"].iter().for_each(|name| holds(name, &table[*name]));
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let values = vec![Some(1.0), Some(2.0), None, Some(3.0)];
        assert_eq!(runs(&values).collect::<Vec<_>>(), [0..2, 3..4]);
        let d = stroked(&values, &|column| column as f64, &|value| value);
        assert_eq!(d, "M0.0 1.0L1.0 2.0M3.0 3.0h2");
        assert_eq!(runs(&vec![None, None]).count(), 0);
    }

    #[test]
    fn a_steady_run_has_no_gap_and_a_missing_second_is_one() {
        let line = |times: &[u64]| {
            let points = times.iter().map(|t| (*t, Some(1.0))).collect();
            Line { name: String::new(), colour: "host", points }
        };
        // A short first and last window, and windows that end a millisecond early or late.
        let steady = line(&[730, 1730, 2731, 3730, 4729, 5730, 6000]);
        assert_eq!(steady.step(), 1000);
        assert_eq!(runs(&steady.columns(1000).values).count(), 1);
        assert_eq!(runs(&line(&[1000, 2000, 4000, 5000]).columns(1000).values).count(), 2);
        let long = line(&(1..=10_800).map(|second| second * 1000).collect::<Vec<_>>());
        let columns = long.columns(10_800_000_u64.div_ceil(COLUMNS));
        assert!(columns.values.len() <= COLUMNS as usize + 1 && runs(&columns.values).count() == 1);
    }

    #[test]
    fn scales_end_on_round_numbers_and_their_quarters_are_written_whole() {
        assert_eq!([0.0, 3.0, 1.0, 16.7, 31.0, 60.0, 240.0].map(nice), [1.0, 3.2, 1.0, 20.0, 32.0, 60.0, 240.0]);
        assert_eq!(nice(f64::INFINITY), 1.0);
        for top in [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0].iter().flat_map(|top| [top * 1e-4, *top, top * 1e4]) {
            for part in [0.25, 0.5, 0.75, 1.0] {
                let (tick, text) = (top * part, tick_text(top * part, top));
                assert!((text.parse::<f64>().unwrap() - tick).abs() < tick * 1e-9, "{tick} of {top} is written {text}");
            }
        }
        assert_eq!(
            ["37.5", "66.7", "100", "0"],
            [(37.5, 50.0), (66.67, 66.67), (100.0, 100.0), (0.0, 1.0)].map(|(value, top)| tick_text(value, top))
        );
    }

    #[test]
    fn a_limit_far_above_is_named_and_not_drawn() {
        let graph = |limit| Graph {
            title: "",
            unit: "ms",
            areas: Vec::new(),
            lines: vec![Line { name: String::new(), colour: "host", points: vec![(0, Some(1.0)), (1000, Some(2.0))] }],
            limit: Some(("late above", limit)),
            marks: Vec::new(),
            start: 0,
            language: Language::English,
        };
        let drawn = |limit: f64| graph(limit).draw().into_string().matches("class=\"limit\"").count();
        // One is the legend's.
        assert_eq!([drawn(5.0), drawn(60.0)], [2, 1]);
        assert!(graph(60.0).draw().into_string().contains("late above 60, beyond this graph"));
    }
}
