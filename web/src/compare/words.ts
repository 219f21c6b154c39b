// A comparison in the language of the page, from the facts that the API gives.
import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import type { Tone } from '@/ui/controls';
import { ABSENT, count, fps, ms, percent, points, signed } from '@/units';

type Figure = Schemas['FigureDifference'];

/** How many changes a sentence names. */
const NAMED = 4;

export const TONES: Record<Schemas['ComparisonOutcome'], Tone> = {
  better: 'good',
  worse: 'bad',
  mixed: 'warn',
  no_change: 'neutral',
  not_enough_data: 'neutral',
};

/** What a comparison amounts to, in a word or two. */
export const outcome = (one: Schemas['ComparisonOutcome']) =>
  ({
    better: m.outcome_better,
    worse: m.outcome_worse,
    mixed: m.outcome_mixed,
    no_change: m.outcome_no_change,
    not_enough_data: m.verdict_not_enough_data,
  })[one]();

const RATES: Record<string, () => string> = {
  'frames late': m.figure_late,
  'frames stuttered': m.figure_stuttered,
  'frames dropped': m.figure_dropped,
  'frames fps': m.figure_fps,
  'packets lost': m.figure_lost,
};

/** `encode p99`, `host mean`; rates by their name. */
export function figureName({ series, figure }: Pick<Figure, 'series' | 'figure'>): string {
  return (
    RATES[`${series} ${figure}`]?.() ?? `${series} ${figure === 'mean' ? m.figure_mean() : figure}`
  );
}

/** A value of a figure. */
export const valueIn = (unit: Schemas['FigureUnit']) =>
  ({ us: ms, share: percent, per_second: fps })[unit];

/** A difference of two values: of shares, percentage points. */
export const differenceIn = (unit: Schemas['FigureUnit']) =>
  ({ us: ms, share: points, per_second: fps })[unit];

function change(figure: Figure): string {
  const size = signed(figure.difference, differenceIn(figure.unit));
  const relative =
    figure.unit === 'us' && figure.relative != null ? ` (${signed(figure.relative, percent)})` : '';
  return `${figureName(figure)} ${size}${relative}`;
}

/** A run against the baseline in one sentence: what changed, what stands out most first. */
export function sentence(run: Schemas['RunDifference']): string {
  if (run.outcome === 'not_enough_data') return m.compare_too_short();
  if (run.outcome === 'no_change') return m.compare_no_change();
  const named = run.leading.flatMap((at) => run.figures[at] ?? []);
  const more = named.length - NAMED;
  const changes = named.slice(0, NAMED).map(change);
  if (more > 0) changes.push(m.and_more({ count: count(more) }));
  return m.compare_changes({ outcome: outcome(run.outcome), changes: changes.join(', ') });
}

/** Why the runs are not comparable, and what else to bear in mind. */
export function warnings({ configuration, runs }: Schemas['Comparison']): string[] {
  const differing = configuration
    .filter(({ decides }) => decides)
    .map(({ setting, values }) =>
      m.compare_differs({
        setting: settingName(setting),
        values: values.map((value) => value?.slice(0, 60) ?? ABSENT).join(', '),
      }),
    );
  const flawed = runs.flatMap(({ meta }) => [
    ...(meta.interrupted ? [m.compare_interrupted({ id: meta.id })] : []),
    ...(meta.truncated ? [m.compare_truncated({ id: meta.id })] : []),
    ...((meta.records_lost ?? 0) > 0
      ? [m.compare_records_lost({ id: meta.id, count: count(meta.records_lost) })]
      : []),
  ]);
  return [...differing, ...flawed];
}

const SETTINGS: Record<string, () => string> = {
  resolution: m.picture,
  fps: m.graph_rate,
  codec: m.codec,
  encoder: m.encoder,
  source: m.source,
  protocol: m.path,
  sessions: m.sessions_measured,
  latency_target: m.latency_target,
  client: m.client,
  host: () => 'Host',
  host_version: m.host_version,
  os: m.system,
  cpu: m.processor,
  cpus: m.processors,
};

export const settingName = (setting: string) => SETTINGS[setting]?.() ?? setting;
