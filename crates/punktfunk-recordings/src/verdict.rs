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

use crate::language::Language;
use crate::schema::{LateCount, VerdictBrief};
use crate::summary::{ThreadLoad, WorstTenSeconds};

mod sentence;

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
    /// The sentence in a language; `text` is the English one, and all there is if an earlier host did not save what decided.
    pub fn sentence(&self, language: Language) -> String {
        let decided = self.kind != VerdictKind::Stage || self.criterion.is_some();
        match language {
            Language::German if decided => sentence::write(self, language),
            _ => self.text.clone(),
        }
    }

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
    let (kind, stage, criterion) = if evidence.frames < MIN_FRAMES {
        (VerdictKind::NotEnoughData, None, None)
    } else if let Some(Fault { stage, criterion, .. }) = graver(&evidence) {
        (VerdictKind::Stage, stage, Some(criterion))
    } else if evidence.loss_share().is_some_and(|loss| loss >= LOSS_SHARE) {
        (VerdictKind::Network, None, None)
    } else if evidence.source_share() >= SOURCE_SHARE {
        (VerdictKind::SourceLimited, None, None)
    } else {
        (VerdictKind::WithinBudget, None, None)
    };
    let mut verdict = Verdict { kind, stage, criterion, text: String::new(), evidence };
    verdict.text = sentence::write(&verdict, Language::English);
    verdict
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
}

fn latency(evidence: &Evidence) -> Option<Fault> {
    let most = |by_stage| most_charged(by_stage).map(|most| most.stage.clone());
    let late_share = share(evidence.late, evidence.frames);
    if evidence.late >= MIN_LATE && late_share >= LATE_SHARE {
        return Some(Fault { share: late_share, criterion: Criterion::Late, stage: most(&evidence.late_by_stage) });
    }
    let worst = evidence.worst_ten_seconds.as_ref()?;
    let worst_share = share(worst.late, worst.frames);
    let is_bad = worst.late >= MIN_LATE && worst_share >= WORST_LATE_SHARE;
    let stage = most(&worst.late_by_stage);
    is_bad.then_some(Fault { share: worst_share, criterion: Criterion::WorstTenSeconds, stage })
}

fn throughput(evidence: &Evidence) -> Option<Fault> {
    let (stage, missing) = evidence.missing_by_stage()?;
    let missing_share = share(missing, evidence.granted_frames);
    let stage = Some(stage.to_owned());
    (missing_share >= MISSING_SHARE).then_some(Fault { share: missing_share, criterion: Criterion::Missing, stage })
}

/// The stage that most late frames are charged to; `None` if most are charged to none.
fn most_charged(by_stage: &[LateCount]) -> Option<&LateCount> {
    // The first of equals, so that the order of the path decides.
    by_stage.iter().rev().max_by_key(|count| count.count).filter(|most| most.count > 0 && most.stage != "none")
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
