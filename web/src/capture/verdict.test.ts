import { beforeEach, expect, test } from 'vitest';

import type { Schemas } from '@/api/client';
import { overwriteGetLocale } from '@/paraglide/runtime.js';
import { sentence } from './verdict';

const evidence: Schemas['Evidence'] = {
  frames: 1000,
  late: 50,
  late_by_stage: [
    { stage: 'encode', count: 45 },
    { stage: 'none', count: 5 },
  ],
  target_us: 16_667,
  granted_frames: 1200,
  granted_fps: 60,
  fps: 40,
  missing: [
    { stage: null, frames: 120 },
    { stage: 'send', frames: 60 },
    { stage: 'queue', frames: 20 },
  ],
  packets_sent: 20_000,
  packets_lost: 600,
};
const told = (part: Partial<Schemas['Verdict']>, more: Partial<Schemas['Evidence']> = {}) =>
  sentence({ kind: 'stage', text: '', ...part, evidence: { ...evidence, ...more } });
const busiest = { stages: ['capture', 'submit'], busy_share: 0.25, frame_share: 0.3 };

beforeEach(() => overwriteGetLocale(() => 'en'));

test('a stage is named with the figure that put it at fault', () => {
  expect(told({ stage: 'encode', criterion: 'late' })).toBe(
    '5% of frames were late (over 16.7 ms from capture to wire); encode is at fault in 90% of them.',
  );
  expect(told({ stage: null, criterion: 'late' }, { target_us: null })).toBe(
    '5% of frames were late (over their session’s target from capture to wire); no single stage stands out in them.',
  );
  const worst = {
    from_ms: 61_000,
    to_ms: 71_000,
    host_mean_us: 20_000,
    frames: 600,
    late: 300,
    late_by_stage: [{ stage: 'queue', count: 200 }],
  };
  expect(
    told(
      { stage: 'queue', criterion: 'worst_ten_seconds' },
      { late: 301, frames: 60_000, worst_ten_seconds: worst },
    ),
  ).toBe(
    '0.5% of frames were late (over 16.7 ms from capture to wire), but 50% in the ten seconds from 1:01; waiting between the stages (queue) is at fault in 67% of them.',
  );
  expect(told({ stage: 'send', criterion: 'missing' })).toBe(
    'send could not keep up: 5% of the frames that were granted were never sent, because it was busy or failed.',
  );
  expect(told({ stage: 'queue', criterion: 'missing' })).toMatch(
    /^The hand-over .*: 1\.7% of the frames/,
  );
});

test('a verdict that an earlier host saved keeps its words', () => {
  expect(told({ stage: 'send', text: '`send` could not keep up.' })).toBe(
    'send could not keep up.',
  );
});

test('where no stage is at fault, what is', () => {
  expect(told({ kind: 'not_enough_data' }, { frames: 1 })).toBe(
    'Too few frames were measured for a verdict: 1.',
  );
  expect(told({ kind: 'within_budget' }, { late: 0, busiest })).toBe(
    'The host kept up: no frame was late (over 16.7 ms from capture to wire); its busiest thread (capture + submit) was at work 25% of the time.',
  );
  expect(told({ kind: 'network' })).toBe(
    'The host kept up, but 3% of the packets did not reach the client.',
  );
  expect(told({ kind: 'network' }, { fec_recovered: 580 })).toMatch(
    /; rebuilt from parity: 580\.$/,
  );
  expect(told({ kind: 'source_limited' })).toBe(
    'The game or desktop delivered 40 fps of the 60 fps that were granted; the host kept up.',
  );
  expect(told({ kind: 'source_limited' }, { granted_fps: null, busiest })).toMatch(
    /, 40 fps; the host/,
  );
});

test('in German just as much is said', () => {
  overwriteGetLocale(() => 'de');
  expect(told({ stage: 'encode', criterion: 'late' })).toBe(
    '5\u00a0% der Bilder kamen spät (über 16,7 ms von der Aufnahme bis zum Netz); encode ist schuld an 90\u00a0% davon.',
  );
  expect(told({ kind: 'within_budget' }, { late: 0, busiest })).toBe(
    'Der Host hielt mit: Kein Bild kam spät (über 16,7 ms von der Aufnahme bis zum Netz); sein am stärksten belasteter Thread (capture + submit) arbeitete 25\u00a0% der Zeit.',
  );
});
