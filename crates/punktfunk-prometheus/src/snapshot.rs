//! The snapshot of a window: a saved recording is held against the backend, and its figures are taken from there only if
//! every count agrees at every step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use punktfunk_recordings::{BackendCheck, BackendOutcome, Capture, Difference, SnapshotState, Source, StatsSample};
use punktfunk_stats::catalogue::attribute;

use crate::answers::{Answers, FIELDS, Part};
use crate::client::{Answer, Client, QueryError};
use crate::compare::{Figure, Grid, Steps};
use crate::query::{Of, QUANTILES, Window, label};

/// Values that one query may return, so that answers stay within what is read and backends within their sample limits.
const MAX_VALUES: usize = 60_000;

/// Most steps of one query: below the 11,000 that Prometheus answers, and small enough to run side by side.
const MAX_STEPS: usize = 3600;

/// Differences that a recording keeps.
const MAX_DIFFERENCES: usize = 20;

/// Remarks of the backend that a recording keeps.
const MAX_WARNINGS: usize = 10;

/// How often a query is asked that failed for a reason that may pass.
const ATTEMPTS: u32 = 3;

/// First and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The backend holds `held` of `expected` frames, counted once a stage.
    Waiting {
        /// Counts that it holds.
        held: u64,
        /// Counts that it should.
        expected: u64,
    },
    /// Queries answered.
    Querying {
        /// So many.
        done: usize,
        /// Of so many.
        total: usize,
    },
}

/// Told of progress; breaking gives the snapshot up.
pub type Watch<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// Holds a saved recording against the backend. The result is the recording as it is to be stored: with the backend's
/// figures if every count agreed at every step, with its own otherwise, and in both cases with the check. `None` if `watch`
/// gave it up.
pub fn snapshot(client: &Client, local: &Capture, watch: Watch<'_>) -> Option<Capture> {
    let mut attempt = match Attempt::new(client, local, watch) {
        Ok(attempt) => attempt,
        Err(reason) => return Some(kept(local, not_comparable(reason))),
    };
    match attempt.run() {
        Ok(samples) => Some(verified(local, samples, attempt.check)),
        Err(Stop::Abandoned) => None,
        Err(Stop::Kept(outcome, reason)) => {
            attempt.check.outcome = outcome;
            attempt.check.reason = reason;
            Some(kept(local, attempt.check))
        }
    }
}

fn verified(local: &Capture, samples: Vec<StatsSample>, check: BackendCheck) -> Capture {
    let mut provenance = local.provenance.clone();
    provenance.source = Source::Prometheus;
    provenance.backend = Some(check);
    let mut capture =
        Capture::assemble(local.meta.clone(), samples, local.markers.clone(), provenance, local.kept_frames.clone());
    capture.meta.snapshot = Some(SnapshotState::Verified);
    capture
}

fn kept(local: &Capture, check: BackendCheck) -> Capture {
    let mut capture = local.clone();
    capture.meta.snapshot = Some(SnapshotState::Kept);
    capture.provenance.backend = Some(check);
    capture
}

fn not_comparable(reason: &str) -> BackendCheck {
    BackendCheck {
        outcome: BackendOutcome::NotComparable,
        reason: reason.to_owned(),
        ..empty_check(Steps { from_ms: 0, to_ms: 0, step_ms: 0 })
    }
}

fn empty_check(steps: Steps) -> BackendCheck {
    BackendCheck {
        outcome: BackendOutcome::Unavailable,
        reason: String::new(),
        server: None,
        step_ms: steps.step_ms,
        from_unix_ms: steps.from_ms,
        to_unix_ms: steps.to_ms,
        queries: Vec::new(),
        fields: Vec::new(),
        compared: 0,
        differing: 0,
        differences: Vec::new(),
        warnings: Vec::new(),
        waited_ms: 0,
        took_ms: 0,
    }
}

/// Why there are no figures of the backend.
enum Stop {
    Abandoned,
    Kept(BackendOutcome, String),
}

impl From<QueryError> for Stop {
    fn from(error: QueryError) -> Self {
        Self::Kept(BackendOutcome::Unavailable, error.to_string())
    }
}

/// One snapshot being taken.
struct Attempt<'a> {
    client: &'a Client,
    local: &'a Capture,
    watch: Watch<'a>,
    window: Window<'a>,
    steps: Steps,
    check: BackendCheck,
}

impl<'a> Attempt<'a> {
    fn new(client: &'a Client, local: &'a Capture, watch: Watch<'a>) -> Result<Self, &'static str> {
        if local.meta.interrupted {
            return Err(
                "the host was killed before it counted the run, so there are no totals to hold a backend against",
            );
        }
        if local.provenance.counts.is_empty() {
            return Err("no frame was measured");
        }
        let steps = Steps::of(local).ok_or("the recording's samples do not say in which steps they lie")?;
        let window =
            Window { host_id: &local.meta.host.id, capture_id: local.meta.id.as_str(), step_ms: steps.step_ms };
        Ok(Self { client, local, watch, window, steps, check: empty_check(steps) })
    }

    fn run(&mut self) -> Result<Vec<StatsSample>, Stop> {
        let started = Instant::now();
        let settled = self.settle();
        self.check.waited_ms = millis(started.elapsed());
        let started = Instant::now();
        let samples = settled.and_then(|()| self.fetch());
        self.check.took_ms = millis(started.elapsed());
        samples
    }

    /// Waits until the backend holds the run's totals.
    #[tracing::instrument(skip_all)]
    fn settle(&mut self) -> Result<(), Stop> {
        let expected: BTreeMap<(&str, Figure), u64> = self
            .local
            .provenance
            .counts
            .iter()
            .map(|check| {
                let figure = if check.stage == "host" { Figure::Host } else { Figure::Stage(check.stage.clone()) };
                ((check.session_id.as_str(), figure), check.histogram)
            })
            .collect();
        let total = expected.values().sum();
        let deadline = Instant::now() + self.client.config().settle_timeout();
        let last_step = Steps { from_ms: self.steps.to_ms, ..self.steps };
        let mut pause = PAUSE.0;
        loop {
            let answer = self.client.instant(&self.window.totals(), self.steps.to_ms);
            let stop = match answer {
                Ok(answer) => {
                    let mut held = Grid::new(last_step);
                    held.take_distributions(&answer, |_, _| true);
                    let mut wanted = Grid::new(last_step);
                    for ((session, figure), count) in &expected {
                        wanted.add(session, figure.clone(), self.steps.to_ms, *count as f64);
                    }
                    let (_, differences) = wanted.differences(&held);
                    if differences.is_empty() {
                        return Ok(());
                    }
                    let missing: f64 = differences.iter().map(|d| d.local - d.backend.unwrap_or(0.0)).sum();
                    let held = (total as f64 - missing) as u64;
                    let too_many = differences.iter().any(|d| d.backend.unwrap_or(0.0) > d.local);
                    let text = differences.first().map(describe).unwrap_or_default();
                    self.note(differences, |difference| difference.step_unix_ms = None);
                    if too_many {
                        let reason = format!(
                            "the backend counts more than was measured: {text}. Does another host use the same host.id?"
                        );
                        return Err(Stop::Kept(BackendOutcome::Differs, reason));
                    }
                    self.tell(Progress::Waiting { held, expected: total })?;
                    Stop::Kept(BackendOutcome::Incomplete, format!("the backend never held every count: {text}"))
                }
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) => {
                    self.tell(Progress::Waiting { held: 0, expected: total })?;
                    error.into()
                }
            };
            if Instant::now() + pause > deadline {
                return Err(stop);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Asks for every step, and compares.
    #[tracing::instrument(skip_all)]
    fn fetch(&mut self) -> Result<Vec<StatsSample>, Stop> {
        self.check.server = self.client.version();
        self.look_for_others()?;
        let parts = self.parts()?;
        self.check.queries = parts.iter().map(|(_, query)| query.clone()).collect();
        let answers = self.ask(&parts)?;
        let local = Grid::of_samples(self.steps, &self.local.samples);
        let (compared, mut differences) = local.differences(answers.counts());
        self.check.compared = compared;
        let mut samples = self.local.samples.clone();
        let mut places: BTreeMap<(String, u64), u32> = BTreeMap::new();
        for sample in &samples {
            *places.entry((sample.session_id.clone(), sample.step_unix_ms)).or_default() += 1;
        }
        if differences.is_empty() {
            for sample in &mut samples {
                // Two windows of one session in one step cannot be told apart there.
                if places.get(&(sample.session_id.clone(), sample.step_unix_ms)) == Some(&1) {
                    differences.extend(answers.put_into(sample));
                }
            }
        }
        if !differences.is_empty() {
            let text = differences.first().map(describe).unwrap_or_default();
            let count = differences.len();
            self.note(differences, |_| {});
            let reason = format!("{count} of {compared} figures differ; the first: {text}");
            return Err(Stop::Kept(BackendOutcome::Differs, reason));
        }
        self.check.differing = 0;
        self.check.differences.clear();
        self.check.fields = FIELDS.map(str::to_owned).to_vec();
        self.check.outcome = BackendOutcome::Verified;
        self.check.reason = format!("{compared} counts agree, at every step");
        Ok(samples)
    }

    /// Whether somebody else exported under this host's id meanwhile.
    fn look_for_others(&mut self) -> Result<(), Stop> {
        let length = self.steps.to_ms.saturating_sub(self.local.meta.started_unix_ms).max(1);
        let answer =
            self.retried(&self.window.exporters(length), |query| self.client.instant(query, self.steps.to_ms))?;
        let mut runs = BTreeSet::new();
        let mut others = BTreeSet::new();
        for series in &answer.series {
            let capture = series.label(&label(attribute::CAPTURE_ID));
            if capture == self.window.capture_id {
                runs.insert(series.label(&label(attribute::RUN_ID)));
            } else {
                others.insert(capture);
            }
        }
        if runs.len() > 1 {
            let reason = format!(
                "{} hosts exported this capture under one host.id ({}); give each its own configuration directory",
                runs.len(),
                self.window.host_id
            );
            return Err(Stop::Kept(BackendOutcome::Differs, reason));
        }
        if let Some(other) = others.first() {
            let warning = format!(
                "another host exported the capture {other} under the same host.id ({}) meanwhile; give each host its own configuration directory",
                self.window.host_id
            );
            tracing::warn!(capture = self.window.capture_id, "{warning}");
            self.warn([warning]);
        }
        Ok(())
    }

    /// The range queries, with the cheaper form of the quantiles where the server has it.
    fn parts(&self) -> Result<Vec<(Part, String)>, Stop> {
        let tried =
            self.retried(&self.window.quantiles(Of::Step), |query| self.client.instant(query, self.steps.to_ms));
        let experimental = match tried {
            Ok(_) => true,
            Err(QueryError::Status { status: 400, .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let mut parts = vec![(Part::Counts, self.window.counts())];
        for of in [Of::Step, Of::FirstStep] {
            if experimental {
                parts.push((Part::AllQuantiles(of), self.window.quantiles(of)));
            } else {
                let one = |(i, q)| (Part::Quantile(i, of), self.window.quantile(q, of));
                parts.extend(QUANTILES.into_iter().enumerate().map(one));
            }
        }
        parts.push((Part::Counters, self.window.counters()));
        parts.push((Part::Gauges, self.window.gauges()));
        Ok(parts)
    }

    /// Runs the range queries in chunks, a few at a time.
    fn ask(&mut self, parts: &[(Part, String)]) -> Result<Answers, Stop> {
        // Stages, queue, host and two intervals, each as counts or as three quantiles.
        let series: usize =
            self.local.meta.sessions.iter().map(|session| (session.stages.len() + 4) * QUANTILES.len()).sum();
        let chunk = (MAX_VALUES / series.max(1)).clamp(60, MAX_STEPS) as u64 * self.steps.step_ms;
        let answers = Answers::new(self.steps, &self.local.samples);
        let mut open = VecDeque::new();
        for (part, query) in parts {
            if part.of_first_steps() {
                open.extend(answers.first_steps().into_iter().map(|step| (*part, query.as_str(), step, step)));
                continue;
            }
            let mut from = self.steps.from_ms;
            while from <= self.steps.to_ms {
                let to = self.steps.to_ms.min(from + chunk - self.steps.step_ms);
                open.push_back((*part, query.as_str(), from, to));
                from = to + self.steps.step_ms;
            }
        }
        let total = open.len();
        let open = Mutex::new(open);
        // Answers, how many they are, and why it ended early.
        let shared = Mutex::new((answers, 0, None::<Stop>, BTreeSet::new()));
        let span = tracing::Span::current();
        let worker = || {
            let _fetch = span.clone().entered();
            loop {
                let next = lock(&open).pop_front();
                let Some((part, query, from, to)) = next else { return };
                let outcome = self.retried(query, |query| self.client.range(query, from, to, self.steps.step_ms));
                let mut shared = lock(&shared);
                let (answers, done, stop, warnings) = &mut *shared;
                let told = outcome.map_err(Stop::from).and_then(|answer| {
                    answers.take(part, &answer);
                    warnings.extend(answer.warnings);
                    *done += 1;
                    self.tell(Progress::Querying { done: *done, total })
                });
                if let Err(error) = told {
                    stop.get_or_insert(error);
                    lock(&open).clear();
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.client.config().parallel_queries.clamp(1, 16) {
                scope.spawn(worker);
            }
            worker();
        });
        let (mut answers, _, stop, warnings) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.warn(warnings);
        answers.finish();
        stop.map_or(Ok(answers), Err)
    }

    /// Asks again when the reason for a failure may pass.
    fn retried(&self, query: &str, ask: impl Fn(&str) -> Result<Answer, QueryError>) -> Result<Answer, QueryError> {
        let mut pause = PAUSE.0;
        for _ in 1..ATTEMPTS {
            match ask(query) {
                Err(error) if !error.is_final() => {
                    tracing::debug!(%error, "a query is asked again");
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE.1);
                }
                outcome => return outcome,
            }
        }
        ask(query)
    }

    fn tell(&self, progress: Progress) -> Result<(), Stop> {
        if (self.watch)(progress).is_break() { Err(Stop::Abandoned) } else { Ok(()) }
    }

    fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        let room = MAX_WARNINGS.saturating_sub(self.check.warnings.len());
        self.check.warnings.extend(warnings.into_iter().take(room));
    }

    /// Keeps the first differences.
    fn note(&mut self, differences: Vec<Difference>, mut adjust: impl FnMut(&mut Difference)) {
        self.check.differing = differences.len() as u64;
        self.check.differences = differences.into_iter().take(MAX_DIFFERENCES).collect();
        self.check.differences.iter_mut().for_each(&mut adjust);
    }
}

fn describe(difference: &Difference) -> String {
    let backend = difference.backend.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
    format!(
        "{} of session {}: {} measured, {backend} in the backend",
        difference.series, difference.session_id, difference.local
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A panic elsewhere leaves whole answers behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
