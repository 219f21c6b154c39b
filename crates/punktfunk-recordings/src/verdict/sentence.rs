//! A verdict in one sentence: what was decided, with the figures that decided it.

use super::{Criterion, Evidence, MIN_FRAMES, Verdict, VerdictKind, most_charged, share};
use crate::language::Language;
use crate::schema::LateCount;

pub(super) fn write(verdict: &Verdict, language: Language) -> String {
    let words = Words { language, evidence: &verdict.evidence };
    match (verdict.kind, verdict.criterion) {
        (VerdictKind::NotEnoughData, _) => words.too_few(),
        (VerdictKind::WithinBudget, _) => words.within(),
        (VerdictKind::SourceLimited, _) => words.source(),
        (VerdictKind::Network, _) => words.network(),
        (VerdictKind::Stage, Some(Criterion::Missing)) => words.missing(verdict.stage.as_deref()),
        (VerdictKind::Stage, Some(Criterion::WorstTenSeconds)) => words.worst(),
        (VerdictKind::Stage, Some(Criterion::Late) | None) => words.late(),
    }
}

struct Words<'a> {
    language: Language,
    evidence: &'a Evidence,
}

impl Words<'_> {
    fn too_few(&self) -> String {
        let frames = self.evidence.frames;
        match self.language {
            Language::English => {
                let were = if frames == 1 { "frame was" } else { "frames were" };
                format!("Only {frames} {were} measured; a verdict needs {MIN_FRAMES}.")
            }
            Language::German => format!("Zu wenige Bilder wurden gemessen: {frames}; ein Urteil braucht {MIN_FRAMES}."),
        }
    }

    fn within(&self) -> String {
        let kept_up = self.language.of("The host kept up", "Der Host hielt mit");
        format!("{kept_up}: {}{}.", self.how_many_late(), self.busiest(';'))
    }

    fn source(&self) -> String {
        let Evidence { fps, granted_fps, .. } = self.evidence;
        let (fps, busiest) = (self.figure(*fps), self.busiest(':'));
        let granted = granted_fps.map(|granted| self.figure(granted));
        match self.language {
            Language::English => {
                let of = granted.map_or_else(String::new, |granted| format!(" of the {granted} granted"));
                format!("The game or desktop delivered {fps} new pictures a second{of}; the host kept up{busiest}.")
            }
            Language::German => {
                let of = granted.map_or_else(String::new, |granted| format!(" von gewährten {granted}"));
                format!(
                    "Das Spiel oder der Desktop lieferte {fps} neue Bilder in der Sekunde{of}; der Host hielt mit{busiest}."
                )
            }
        }
    }

    fn network(&self) -> String {
        let loss = self.percent(self.evidence.loss_share().unwrap_or(0.0));
        match self.language {
            Language::English => {
                let rebuilt = match self.evidence.fec_recovered {
                    None => String::new(),
                    Some(0) => "; none could be rebuilt from parity".to_owned(),
                    Some(1) => "; 1 packet was rebuilt from parity".to_owned(),
                    Some(n) => format!("; {n} packets were rebuilt from parity"),
                };
                format!("The host kept up, but {loss} of the packets did not reach the client{rebuilt}.")
            }
            Language::German => {
                let rebuilt = match self.evidence.fec_recovered {
                    None => String::new(),
                    Some(0) => "; aus Parität ließ sich keines wiederherstellen".to_owned(),
                    Some(n) => format!("; aus Parität wiederhergestellt: {n}"),
                };
                format!("Der Host hielt mit, aber {loss} der Pakete erreichten den Client nicht{rebuilt}.")
            }
        }
    }

    fn late(&self) -> String {
        let Evidence { late, late_by_stage, .. } = self.evidence;
        format!("{}; {}.", self.how_many_late(), self.blame(late_by_stage, *late, "them"))
    }

    fn worst(&self) -> String {
        let Some(worst) = &self.evidence.worst_ten_seconds else { return self.late() };
        let (inside, from) = (self.percent(share(worst.late, worst.frames)), clock(worst.from_ms));
        let but = match self.language {
            Language::English => format!("but {inside} in the ten seconds from {from}"),
            Language::German => format!("aber {inside} in den zehn Sekunden ab {from}"),
        };
        format!("{}, {but}; {}.", self.how_many_late(), self.blame(&worst.late_by_stage, worst.late, "those"))
    }

    fn missing(&self, stage: Option<&str>) -> String {
        let Evidence { missing, granted_frames, granted_fps, .. } = self.evidence;
        let count = missing.iter().find(|count| count.stage.as_deref() == stage).map_or(0, |count| count.frames);
        let missing = self.percent(share(count, *granted_frames));
        let fps = granted_fps.map(|fps| self.figure(fps));
        let stage = stage.filter(|stage| *stage != "queue");
        match self.language {
            Language::English => {
                let rate = fps.map_or_else(|| "the granted rate".to_owned(), |fps| format!("{fps} fps"));
                let (subject, because) = match stage {
                    Some(stage) => (format!("`{stage}`"), "it was busy or failed"),
                    None => (
                        "The hand-over between the stages (`queue`)".to_owned(),
                        "newer pictures replaced them while they waited",
                    ),
                };
                format!(
                    "{subject} could not keep up: {missing} of the frames that {rate} needs were never sent, because {because}."
                )
            }
            Language::German => {
                let rate = fps.map_or_else(|| "die gewährte Rate".to_owned(), |fps| format!("{fps} fps"));
                let (subject, because) = match stage {
                    Some(stage) => (format!("`{stage}`"), "die Stufe beschäftigt war oder fehlschlug"),
                    None => (
                        "Die Übergabe zwischen den Stufen (`queue`)".to_owned(),
                        "neuere sie ersetzten, während sie warteten",
                    ),
                };
                format!("{subject} kam nicht mit: {missing} der Bilder für {rate} wurden nie gesendet, weil {because}.")
            }
        }
    }

    /// Names the stage that most late frames are charged to.
    fn blame(&self, by_stage: &[LateCount], late: u64, them: &str) -> String {
        let Some(LateCount { stage, count }) = most_charged(by_stage) else {
            return match self.language {
                Language::English => format!("no single stage stands out in {them}"),
                Language::German => "keine einzelne Stufe sticht dabei heraus".to_owned(),
            };
        };
        let part = self.percent(share(*count, late));
        let what = match (stage.as_str(), self.language) {
            ("queue", Language::English) => "waiting between the stages (`queue`)".to_owned(),
            ("queue", Language::German) => "das Warten zwischen den Stufen (`queue`)".to_owned(),
            _ => format!("`{stage}`"),
        };
        match self.language {
            Language::English => format!("{what} is at fault in {part} of {them}"),
            Language::German => format!("{what} ist schuld an {part} davon"),
        }
    }

    fn how_many_late(&self) -> String {
        let Evidence { late, frames, target_us, .. } = self.evidence;
        let target = target_us.map(|us| self.figure(us / 1e3));
        let part = self.percent(share(*late, *frames));
        match self.language {
            Language::English => {
                let target = target.map_or_else(|| "their session's target".to_owned(), |ms| format!("{ms} ms"));
                let many =
                    if *late == 0 { "no frame was late".to_owned() } else { format!("{part} of frames were late") };
                format!("{many} (over {target} from capture to wire)")
            }
            Language::German => {
                let target = target.map_or_else(|| "dem Budget ihrer Sitzung".to_owned(), |ms| format!("{ms} ms"));
                let many = if *late == 0 {
                    "Kein Bild kam spät".to_owned()
                } else {
                    format!("{part} der Bilder kamen spät")
                };
                format!("{many} (über {target} von der Aufnahme bis zum Netz)")
            }
        }
    }

    /// How much time the host had to spare, if it is known.
    fn busiest(&self, before: char) -> String {
        let Some(load) = &self.evidence.busiest else { return String::new() };
        let stages: Vec<_> = load.stages.iter().map(|stage| format!("`{stage}`")).collect();
        let stages = stages.join(self.language.of(" and ", " und "));
        let part = self.percent(load.busy_share);
        match self.language {
            Language::English => format!("{before} its busiest thread ({stages}) was at work {part} of the time"),
            Language::German => {
                format!("{before} sein am stärksten belasteter Thread ({stages}) arbeitete {part} der Zeit")
            }
        }
    }

    /// A share in per cent, never rounded to nothing or to everything.
    fn percent(&self, share: f64) -> String {
        let percent = share * 100.0;
        if percent > 0.0 && percent < 0.1 {
            format!("{} %", self.language.of("under 0.1", "unter 0,1"))
        } else if percent < 9.95 {
            format!("{} %", self.figure(percent))
        } else if (99.5..100.0).contains(&percent) {
            format!("{} %", self.language.of("over 99", "über 99"))
        } else {
            format!("{percent:.0} %")
        }
    }

    /// One decimal, unless it is zero.
    fn figure(&self, value: f64) -> String {
        let text = format!("{value:.1}");
        self.language.number(text.strip_suffix(".0").unwrap_or(&text))
    }
}

/// A moment of the run as minutes and seconds.
fn clock(ms: u64) -> String {
    format!("{}:{:02}", ms / 60_000, ms / 1000 % 60)
}
