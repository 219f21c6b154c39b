//! Graphs as inline SVG: areas stacked on each other, lines, one limit. A gap in the data is a gap in the drawing.

use std::fmt::Write as _;

use maud::{Markup, html};

/// The colour of text, beside the six of the palette.
pub(super) const INK: usize = 6;

/// Colours of the palette.
const HUES: usize = 6;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;

/// Most points of a line: one for two pixels. Of those that fall together the largest is drawn.
const COLUMNS: u64 = 460;

/// Most marks that are drawn; more would be a grey wall.
const MARKS: usize = 100;

/// One series: ms since the start, and the value; `None` where there is none.
pub(super) struct Line {
    pub(super) name: String,
    /// Which colour.
    pub(super) hue: usize,
    pub(super) points: Vec<(u64, Option<f64>)>,
}

/// One graph.
pub(super) struct Graph<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    /// Stacked, the first at the bottom.
    pub(super) areas: Vec<Line>,
    pub(super) lines: Vec<Line>,
    /// A line across.
    pub(super) limit: Option<f64>,
    /// Lines from top to bottom, ms since the start.
    pub(super) marks: Vec<u64>,
}

/// Values by column of the drawing.
type Columns = Vec<Option<f64>>;

impl Graph<'_> {
    pub(super) fn draw(&self) -> Markup {
        let all = || self.areas.iter().chain(&self.lines);
        let end = all().flat_map(|line| &line.points).map(|(t, _)| *t).max().unwrap_or_default();
        if end == 0 {
            return html! { figure { figcaption { (self.title) ": nothing was measured" } } };
        }
        let windows = all().map(|line| line.points.len() as u64).max().unwrap_or(1).max(1);
        // No more columns than windows, so that a steady run has no false gaps.
        let columns = COLUMNS.min(windows);
        let lines: Vec<Columns> = self.lines.iter().map(|line| line.columns(end, columns)).collect();
        let mut below: Columns = vec![Some(0.0); columns as usize];
        let mut stack = Vec::new();
        for area in &self.areas {
            let own = area.columns(end, columns);
            let above: Columns = below.iter().zip(&own).map(|(a, b)| Some((*a)? + (*b)?)).collect();
            stack.push((below, above.clone()));
            below = above;
        }
        let values = stack.iter().flat_map(|(_, above)| above).chain(lines.iter().flatten()).flatten();
        let highest = values.copied().fold(self.limit.unwrap_or(0.0), f64::max);
        let top = nice(highest);
        let x = |column: usize| LEFT + (WIDTH - LEFT) * (column as f64 + 0.5) / columns as f64;
        let at = |ms: u64| LEFT + (WIDTH - LEFT) * ms as f64 / end as f64;
        let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top);
        let tick = |part: u32| top * f64::from(part) / 4.0;
        html! {
            figure {
                figcaption {
                    (self.title) ", " (self.unit) br;
                    @for line in all() { span.key { svg viewBox="0 0 10 8" aria-hidden="true" { rect class={ "a" (line.class()) } width="10" height="8" {} } bdi { (line.name) } } }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.title) {
                    @for part in 0..=4 {
                        line.grid x1=(LEFT) x2=(WIDTH) y1=(y(tick(part))) y2=(y(tick(part))) {}
                        text x=(LEFT - 6.0) y=(y(tick(part)) + 4.0) text-anchor="end" { (short(tick(part))) }
                    }
                    @for part in 0..=4_u64 {
                        text x=(at(end * part / 4)) y=(HEIGHT - 6.0) text-anchor=(if part == 0 { "start" } else if part == 4 { "end" } else { "middle" }) {
                            (clock(end * part / 4))
                        }
                    }
                    @for (area, (below, above)) in self.areas.iter().zip(&stack) {
                        path class={ "a a" (area.class()) } d=(filled(below, above, &x, &y)) {}
                    }
                    @for (line, values) in self.lines.iter().zip(&lines) {
                        path class={ "s s" (line.class()) } d=(stroked(values, &x, &y)) {}
                    }
                    @if let Some(limit) = self.limit { line.limit x1=(LEFT) x2=(WIDTH) y1=(y(limit)) y2=(y(limit)) {} }
                    @for ms in self.marks.iter().filter(|ms| **ms <= end).take(MARKS) { line.mark x1=(at(*ms)) x2=(at(*ms)) y1=(TOP) y2=(HEIGHT - BOTTOM) {} }
                }
            }
        }
    }
}

impl Line {
    fn class(&self) -> usize {
        if self.hue == INK { INK } else { self.hue % HUES }
    }

    /// The largest value of each column.
    fn columns(&self, end: u64, columns: u64) -> Columns {
        let mut values: Columns = vec![None; columns as usize];
        for (t, value) in &self.points {
            // A window lies before its end.
            let column = u128::from(t.saturating_sub(1)) * u128::from(columns) / u128::from(end);
            let place = &mut values[(column as usize).min(columns as usize - 1)];
            *place = [*place, *value].into_iter().flatten().reduce(f64::max);
        }
        values
    }
}

/// Ranges of columns that have a value.
fn runs(values: &Columns) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + values[from..].iter().position(Option::is_some)?;
        let end = start + values[start..].iter().position(Option::is_none).unwrap_or(values.len() - start);
        from = end;
        Some(start..end)
    })
}

/// Writing to a String cannot fail, so what it says is not looked at.
fn stroked(values: &Columns, x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) -> String {
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

fn filled(below: &Columns, above: &Columns, x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) -> String {
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

/// The next 1, 2, 2.5 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0].map(|step| step * unit).into_iter().find(|top| *top >= value).unwrap_or(10.0 * unit)
}

fn short(value: f64) -> String {
    let digits = if value >= 20.0 || value == 0.0 {
        0
    } else if value >= 2.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

fn clock(ms: u64) -> String {
    let s = ms / 1000;
    if s < 60 { format!("{:.1} s", ms as f64 / 1e3) } else { format!("{}:{:02}", s / 60, s % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_stays_a_gap() {
        let values = vec![Some(1.0), Some(2.0), None, Some(3.0)];
        assert_eq!(runs(&values).collect::<Vec<_>>(), [0..2, 3..4]);
        let d = stroked(&values, &|column| column as f64, &|value| value);
        assert_eq!(d, "M0.0 1.0L1.0 2.0M3.0 3.0h2");
        assert_eq!(runs(&vec![None, None]).count(), 0);
    }

    #[test]
    fn scales_end_on_round_numbers() {
        assert_eq!([0.0, 0.3, 1.0, 16.7, 60.0, 240.0].map(nice), [1.0, 0.5, 1.0, 20.0, 100.0, 250.0]);
        assert_eq!(nice(f64::INFINITY), 1.0);
    }
}
