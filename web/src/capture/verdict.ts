// A verdict in the language of the page: what it is, what to try, how grave it is.
import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { getLocale } from '@/paraglide/runtime.js';
import type { Tone } from '@/ui/controls';
import { count, fps, ms, percent } from '@/units';

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

const part = (some: number | null | undefined, all: number) =>
  some == null || all === 0 ? null : some / all;

/** The verdict in a sentence, with its evidence: the API's own, which is English, or one of the same figures. */
export function sentence(verdict: Schemas['Verdict']): string {
  if (getLocale() === 'en') return verdict.text.replaceAll('`', '');
  const { evidence } = verdict;
  const late = percent(part(evidence.late, evidence.frames));
  const target = ms(evidence.target_us);
  switch (verdict.kind) {
    case 'not_enough_data':
      return m.sentence_not_enough_data({ frames: count(evidence.frames) });
    case 'within_budget':
      return m.sentence_within_budget({ late, target });
    case 'source_limited':
      return m.sentence_source_limited({
        fps: fps(evidence.fps),
        granted: fps(evidence.granted_fps),
      });
    case 'network':
      return m.sentence_network({
        lost: percent(part(evidence.packets_lost, evidence.packets_sent)),
      });
    case 'stage': {
      const never = evidence.missing.reduce((sum, { frames }) => sum + frames, 0);
      const missing = percent(part(never, evidence.granted_frames));
      return verdict.stage == null
        ? m.sentence_late({ late, target, missing })
        : m.sentence_stage({ stage: verdict.stage, late, target, missing });
    }
  }
}
