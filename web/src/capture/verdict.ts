// A verdict in the language of the page: what it is, what to try, how grave it is.
import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import type { Tone } from '@/ui/controls';

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
