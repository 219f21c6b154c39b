// A verdict in the language of the page: what it is, what to try, how grave it is.
import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { getLocale } from '@/paraglide/runtime.js';
import type { Tone } from '@/ui/controls';
import { clock, count, fps, ms, percent } from '@/units';

type Brief = Pick<Schemas['Verdict'], 'kind' | 'stage'>;

export const TONE: Record<Schemas['VerdictKind'], Tone> = {
  within_budget: 'good',
  stage: 'bad',
  network: 'bad',
  source_limited: 'warn',
  not_enough_data: 'neutral',
};

/** A few words, for badges and lists. */
export function short({ kind, stage }: Brief): string {
  switch (kind) {
    case 'within_budget':
      return m.verdict_within_budget();
    case 'network':
      return m.verdict_network();
    case 'source_limited':
      return m.verdict_source_limited();
    case 'not_enough_data':
      return m.verdict_not_enough_data();
    case 'stage':
      return stage == null ? m.verdict_late() : m.verdict_stage({ stage });
  }
}

/** What to try, in plain words. */
export function hint({ kind, stage }: Brief): string {
  switch (kind) {
    case 'within_budget':
      return m.hint_within_budget();
    case 'network':
      return m.hint_network();
    case 'source_limited':
      return m.hint_source_limited();
    case 'not_enough_data':
      return m.hint_not_enough_data();
    case 'stage':
      switch (stage) {
        case 'capture':
          return m.hint_capture();
        case 'submit':
          return m.hint_submit();
        case 'encode':
          return m.hint_encode();
        case 'packetize':
        case 'send':
          return m.hint_send();
        case 'queue':
          return m.hint_queue();
        default:
          return m.hint_late();
      }
  }
}

/** A share of 0–1; `null` if it is not known, or of nothing. */
export const part = (some: number | null | undefined, all: number) =>
  some == null || all === 0 ? null : some / all;

/** The verdict in a sentence, with its evidence. */
export function sentence(verdict: Schemas['Verdict']): string {
  // An earlier host saved it, and does not say what decided: its own words are right at least.
  if (verdict.kind === 'stage' && verdict.criterion == null)
    return verdict.text.replaceAll('`', '');
  return `${clauses(verdict).join('; ')}.`;
}

function clauses({ kind, stage, criterion, evidence }: Schemas['Verdict']): string[] {
  switch (kind) {
    case 'not_enough_data':
      return [m.sentence_not_enough_data({ frames: count(evidence.frames) })];
    case 'within_budget':
      return [m.sentence_within_budget({ late: late(evidence) }), ...spare(evidence)];
    case 'source_limited':
      return [source(evidence), m.sentence_kept_up(), ...spare(evidence)];
    case 'network': {
      const lost = percent(part(evidence.packets_lost, evidence.packets_sent));
      const rebuilt = evidence.fec_recovered;
      return [
        m.sentence_network({ lost }),
        ...(rebuilt == null ? [] : [m.sentence_rebuilt({ packets: count(rebuilt) })]),
      ];
    }
    case 'stage':
      switch (criterion) {
        case 'missing': {
          const never = evidence.missing.find((one) => one.stage === stage)?.frames;
          const share = percent(part(never, evidence.granted_frames));
          return stage == null || stage === 'queue'
            ? [m.sentence_missing_queue({ share })]
            : [m.sentence_missing({ stage, share })];
        }
        case 'worst_ten_seconds': {
          const worst = evidence.worst_ten_seconds;
          if (worst == null) return [capital(late(evidence))];
          const inside = m.sentence_worst({
            share: percent(part(worst.late, worst.frames)),
            from: clock(worst.from_ms),
          });
          return [`${capital(late(evidence))}, ${inside}`, blame(worst, stage)];
        }
        default:
          return [capital(late(evidence)), blame(evidence, stage)];
      }
  }
}

/** How many frames were late, and what that means. */
function late({ late, frames, target_us: target }: Schemas['Evidence']): string {
  const over = target == null ? m.over_own_target() : m.over_target({ target: ms(target) });
  return late === 0
    ? m.sentence_none_late({ over })
    : m.sentence_late({ share: percent(part(late, frames)), over });
}

/** How many of the late frames a stage made late. */
function blame(
  { late, late_by_stage: counts }: Pick<Schemas['Evidence'], 'late' | 'late_by_stage'>,
  stage: string | null | undefined,
): string {
  if (stage == null) return m.sentence_no_stage();
  const share = percent(part(counts.find((one) => one.stage === stage)?.count, late));
  return stage === 'queue' ? m.sentence_queue({ share }) : m.sentence_stage({ stage, share });
}

function source({ fps: delivered, granted_fps: granted }: Schemas['Evidence']): string {
  return granted == null
    ? m.sentence_source({ fps: fps(delivered) })
    : m.sentence_source_limited({ fps: fps(delivered), granted: fps(granted) });
}

/** How much time the host had to spare, if it is known. */
function spare({ busiest }: Schemas['Evidence']): string[] {
  if (!busiest) return [];
  const [stages, share] = [busiest.stages.join(' + '), percent(busiest.busy_share)];
  return [m.sentence_busiest({ stages, share })];
}

const capital = (text: string) => text.slice(0, 1).toLocaleUpperCase(getLocale()) + text.slice(1);
