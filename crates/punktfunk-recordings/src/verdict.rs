//! The verdict: which part of the chain is at fault, in one sentence with its evidence.
//!
//! Two questions are answered apart. Latency: which stage made frames late. That was decided frame by frame where every
//! frame is seen; here counts are compared. Throughput: which stage kept frames from being sent at all. A pipeline may be
//! late and keep its rate, or lose frames and be on time, so neither answer follows from the other; the graver one is the
//! headline. Only when the host is innocent do the network and the source of the pictures come into question.
//!
//! Every threshold of the project's verdicts stands in this file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{LateCount, VerdictBrief};
use crate::summary::{ThreadLoad, WorstTenSeconds};

/// Fewer frames than this are half a second of play: one hiccup at the start would decide.
pub const MIN_FRAMES: u64 = 30;

/// Share of late frames from which latency is a fault. At 60 fps, 1 % is a visible hitch every 1.7 s; players put up with
/// rarer ones, and a desktop system that runs anything else produces some.
pub const LATE_SHARE: f64 = 0.01;

/// Late frames below which no share is a fault: the first picture is the largest, and the first frame warms caches.
pub const MIN_LATE: u64 = 3;

/// Share of late frames in the worst ten seconds from which they are a fault of a run that is fine otherwise: a second of
/// play in ten. Without this, an hour would hide the half minute that made somebody press record.
pub const WORST_LATE_SHARE: f64 = 0.10;

/// Share of the granted frames that a stage kept from being sent, from which throughput is a fault: at 60 fps more than
/// one lost picture a second.
pub const MISSING_SHARE: f64 = 0.02;

/// A window counts as short of frames below this part of the granted rate. Windows and frames are not aligned, which
/// costs or gains a frame a window; 5 % is three frames at 60 fps.
pub const SHORT_WINDOW: f64 = 0.95;

/// Share of wall time from which a thread counts as busy. Frame times scatter, and the hand-over before a thread holds
/// one picture: with a fifth of its time left on average, a thread already misses some.
pub const BUSY_SHARE: f64 = 0.80;

/// Share of packets missing at the client from which the network is at fault. At 20 packets a frame, 1 % touches every
/// fifth frame; parity repairs most, at the price of delay, and bursts get through.
pub const LOSS_SHARE: f64 = 0.01;

/// Share of the granted frames that the source did not deliver, from which the source is the limit. Games drop below
/// their cap in passing; a tenth is a lower frame rate.
pub const SOURCE_SHARE: f64 = 0.10;

/// Outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Too few frames to judge.
    NotEnoughData,
    /// The host kept up, and nothing else stands out.
    WithinBudget,
    /// The host had time to spare, but the game or desktop delivered fewer pictures than were granted.
    SourceLimited,
    /// The host kept up, but packets did not arrive.
    Network,
    /// A stage of the host is at fault.
    Stage,
}

/// Which figure put a stage at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Frames over the latency target in the whole range.
    Late,
    /// Frames over the latency target in its worst ten seconds.
    WorstTenSeconds,
    /// Frames that were granted and never sent.
    Missing,
}

/// The verdict on a session, a range of time or a whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Outcome.
    pub kind: VerdictKind,
    /// Stage at fault, or `queue` if frames waited between idle threads. `null` for the other outcomes, and if frames were
    /// late without one stage that stands out.
    pub stage: Option<String>,
    /// What put a stage at fault. `null` for the other outcomes, and in recordings of earlier hosts.
    #[serde(default)]
    pub criterion: Option<Criterion>,
    /// One sentence that says it in plain words.
    pub text: String,
    /// What it stands on.
    pub evidence: Evidence,
}

/// The figures behind a verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// The session that was judged; `null` if several were taken together.
    pub session_id: Option<String>,
    /// Its client, as named at pairing.
    pub client: Option<String>,
    /// Frames sent, new and repeated.
    pub frames: u64,
    /// Frames over the latency target.
    pub late: u64,
    /// The same by stage at fault, most first.
    pub late_by_stage: Vec<LateCount>,
    /// The latency target, µs; `null` if sessions differ.
    pub target_us: Option<f64>,
    /// The ten seconds with the most late frames; `null` for runs that are not longer.
    pub worst_ten_seconds: Option<WorstTenSeconds>,
    /// Frames that the granted rate asks for over the measured time.
    pub granted_frames: u64,
    /// Frame rate granted; `null` if sessions differ.
    pub granted_fps: Option<f64>,
    /// New pictures a second.
    pub fps: f64,
    /// Frames short of the granted rate, by cause, most first.
    pub missing: Vec<MissingCount>,
    /// The thread with the least time to spare.
    pub busiest: Option<ThreadLoad>,
    /// Packets handed to the kernel.
    pub packets_sent: u64,
    /// Packets that the client reported missing; `null` if it cannot.
    pub packets_lost: Option<u64>,
    /// Shards that the client rebuilt; `null` if it cannot.
    pub fec_recovered: Option<u64>,
}

/// Frames that were granted and not sent, or sent without a new picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingCount {
    /// The stage whose thread was busy or which failed; `null` if none was: the source had no new picture.
    pub stage: Option<String>,
    /// How many.
    pub frames: u64,
}

impl Verdict {
    /// The verdict as a listing shows it.
    pub fn brief(&self) -> VerdictBrief {
        VerdictBrief { kind: self.kind, stage: self.stage.clone(), text: self.text.clone() }
    }

    /// How grave it is: the outcome first, then the share of frames that it cost.
    pub(crate) fn severity(&self) -> (VerdictKind, f64) {
        let evidence = &self.evidence;
        let share = match self.kind {
            VerdictKind::Stage => {
                let worst = evidence.worst_ten_seconds.as_ref().map_or(0.0, |worst| share(worst.late, worst.frames));
                let missing = evidence.missing_by_stage().map_or(0.0, |(_, n)| share(n, evidence.granted_frames));
                share(evidence.late, evidence.frames).max(worst).max(missing)
            }
            VerdictKind::Network => evidence.loss_share().unwrap_or(0.0),
            VerdictKind::SourceLimited => evidence.source_share(),
            VerdictKind::WithinBudget | VerdictKind::NotEnoughData => 0.0,
        };
        (self.kind, share)
    }
}

impl Evidence {
    /// The stage that cost the most frames, and how many.
    fn missing_by_stage(&self) -> Option<(&str, u64)> {
        let stages = self.missing.iter().filter_map(|count| Some((count.stage.as_deref()?, count.frames)));
        stages.max_by_key(|(_, frames)| *frames)
    }

    fn source_share(&self) -> f64 {
        let source = self
            .missing
            .iter()
            .filter(|count| count.stage.is_none())
            .map(|count| count.frames)
            .fold(0, u64::saturating_add);
        share(source, self.granted_frames)
    }

    fn loss_share(&self) -> Option<f64> {
        // A client may report what was sent before the range began.
        self.packets_lost.map(|lost| share(lost, self.packets_sent.max(lost)))
    }
}

/// Applies the rules.
pub fn judge(evidence: Evidence) -> Verdict {
    let (kind, text) = if evidence.frames < MIN_FRAMES {
        let frames = counted(evidence.frames, "frame was", "frames were");
        (VerdictKind::NotEnoughData, format!("Only {frames} measured; a verdict needs {MIN_FRAMES}."))
    } else if let Some(Fault { criterion, stage, text, .. }) = graver(&evidence) {
        return Verdict { kind: VerdictKind::Stage, stage, criterion: Some(criterion), text, evidence };
    } else if let Some(loss) = evidence.loss_share().filter(|loss| *loss >= LOSS_SHARE) {
        (VerdictKind::Network, network(&evidence, loss))
    } else if evidence.source_share() >= SOURCE_SHARE {
        (VerdictKind::SourceLimited, source(&evidence))
    } else {
        (VerdictKind::WithinBudget, within(&evidence))
    };
    Verdict { kind, stage: None, criterion: None, text, evidence }
}

/// The graver of the two answers.
fn graver(evidence: &Evidence) -> Option<Fault> {
    match (latency(evidence), throughput(evidence)) {
        (Some(latency), Some(throughput)) if latency.share < throughput.share => Some(throughput),
        (latency, throughput) => latency.or(throughput),
    }
}

/// One answer.
struct Fault {
    /// Share of frames that it explains.
    share: f64,
    criterion: Criterion,
    /// `None` if frames were late without one that stands out.
    stage: Option<String>,
    text: String,
}

fn latency(evidence: &Evidence) -> Option<Fault> {
    let late_share = share(evidence.late, evidence.frames);
    let run = late_sentence(evidence.late, evidence.frames, evidence.target_us);
    if evidence.late >= MIN_LATE && late_share >= LATE_SHARE {
        let (stage, blame) = blame(&evidence.late_by_stage, evidence.late, "them");
        let text = format!("{run}; {blame}.");
        return Some(Fault { share: late_share, criterion: Criterion::Late, stage, text });
    }
    let worst = evidence.worst_ten_seconds.as_ref()?;
    let worst_share = share(worst.late, worst.frames);
    if worst.late < MIN_LATE || worst_share < WORST_LATE_SHARE {
        return None;
    }
    let (stage, blame) = blame(&worst.late_by_stage, worst.late, "those");
    let text =
        format!("{run}, but {} in the ten seconds from {}; {blame}.", percent(worst_share), clock(worst.from_ms));
    Some(Fault { share: worst_share, criterion: Criterion::WorstTenSeconds, stage, text })
}

fn throughput(evidence: &Evidence) -> Option<Fault> {
    let (stage, missing) = evidence.missing_by_stage()?;
    let missing_share = share(missing, evidence.granted_frames);
    if missing_share < MISSING_SHARE {
        return None;
    }
    let rate = evidence.granted_fps.map_or_else(|| "the granted rate".to_owned(), |fps| format!("{} fps", figure(fps)));
    let (subject, because) = match stage {
        "queue" => {
            ("The hand-over between the stages (`queue`)".to_owned(), "newer pictures replaced them while they waited")
        }
        stage => (format!("`{stage}`"), "it was busy or failed"),
    };
    let text = format!(
        "{subject} could not keep up: {} of the frames that {rate} needs were never sent, because {because}.",
        percent(missing_share)
    );
    Some(Fault { share: missing_share, criterion: Criterion::Missing, stage: Some(stage.to_owned()), text })
}

/// Names the stage that most late frames are charged to.
fn blame(by_stage: &[LateCount], late: u64, them: &str) -> (Option<String>, String) {
    // The first of equals, so that the order of the path decides.
    let most = by_stage.iter().rev().max_by_key(|count| count.count).filter(|count| count.count > 0);
    match most {
        Some(LateCount { stage, count }) if stage != "none" => {
            let what = if stage == "queue" { "waiting between the stages (`queue`)" } else { &format!("`{stage}`") };
            (Some(stage.clone()), format!("{what} is at fault in {} of {them}", percent(share(*count, late))))
        }
        _ => (None, format!("no single stage stands out in {them}")),
    }
}

fn network(evidence: &Evidence, loss: f64) -> String {
    let rebuilt = match evidence.fec_recovered {
        Some(0) => "; none could be rebuilt from parity".to_owned(),
        Some(n) => format!("; {} rebuilt from parity", counted(n, "packet was", "packets were")),
        None => String::new(),
    };
    format!("The host kept up, but {} of the packets did not reach the client{rebuilt}.", percent(loss))
}

fn source(evidence: &Evidence) -> String {
    let of = evidence.granted_fps.map_or_else(String::new, |fps| format!(" of the {} granted", figure(fps)));
    let fps = figure(evidence.fps);
    format!(
        "The game or desktop delivered {fps} new pictures a second{of}; the host kept up{}.",
        busiest(evidence, ":")
    )
}

fn within(evidence: &Evidence) -> String {
    let late = late_sentence(evidence.late, evidence.frames, evidence.target_us);
    format!("The host kept up: {late}{}.", busiest(evidence, ";"))
}

/// How much time the host had to spare, if it is known.
fn busiest(evidence: &Evidence, before: &str) -> String {
    let Some(load) = &evidence.busiest else { return String::new() };
    let stages: Vec<_> = load.stages.iter().map(|stage| format!("`{stage}`")).collect();
    let share = percent(load.busy_share);
    format!("{before} its busiest thread ({}) was at work {share} of the time", stages.join(" and "))
}

fn late_sentence(late: u64, frames: u64, target_us: Option<f64>) -> String {
    let over = match target_us {
        Some(us) => format!("over {} ms from capture to wire", figure(us / 1e3)),
        None => "over their session's target from capture to wire".to_owned(),
    };
    if late == 0 {
        format!("no frame was late ({over})")
    } else {
        format!("{} of frames were late ({over})", percent(share(late, frames)))
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A share in per cent, never rounded to nothing or to everything.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        "under 0.1 %".to_owned()
    } else if percent < 9.95 {
        format!("{} %", figure(percent))
    } else if (99.5..100.0).contains(&percent) {
        "over 99 %".to_owned()
    } else {
        format!("{percent:.0} %")
    }
}

/// One decimal, unless it is zero.
fn figure(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A moment of the run as minutes and seconds.
fn clock(ms: u64) -> String {
    format!("{}:{:02}", ms / 60_000, ms / 1000 % 60)
}
