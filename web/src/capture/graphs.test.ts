import { expect, test } from 'vitest';

import type { Schemas } from '@/api/client';
import { align } from '@/chart/draw';
import { addBuckets } from '@/recording/buckets';
import { arrange, type Entry } from '@/recordings/data';
import { healthGraph, stageGraph, stageNames, throughputGraph, timeline } from './graphs';

const stage = (name: string, us: number): Schemas['StageStats'] => ({
  name,
  count: 30,
  mean_us: us,
  p50_us: us,
  p95_us: us,
  p99_us: us,
  max_us: us,
});
const sample = (t: number, part: Partial<Schemas['StatsSample']> = {}): Schemas['StatsSample'] => ({
  t_ms: t,
  window_ms: 1000,
  session_id: 's1',
  stages: [stage('capture', 100), stage('encode', 500), stage('queue', 50)],
  host: stage('host', 700),
  fps: 30,
  repeat_fps: 0,
  frames: 30,
  frames_dropped: 0,
  late: 0,
  mbps: 5,
  packets_sent: 100,
  stutters: 0,
  ...part,
});

test('a gap in time is a gap on the graph', () => {
  const line = timeline([sample(1000), sample(2000), sample(5000)]);
  expect(line.x).toEqual([1000, 2000, 3000, 5000]);
  const graph = stageGraph(line, ['capture', 'encode'], 'p50', 66_000);
  expect(graph.columns[0]?.values).toEqual([100, 100, null, 100]);
  expect(align(graph).slice(1, 3)).toEqual([
    [600, 600, null, 600],
    [100, 100, null, 100],
  ]);
});

test('a stage that no frame passed adds nothing and reads as absent', () => {
  const line = timeline([sample(1000, { stages: [stage('encode', 500)] })]);
  const graph = stageGraph(line, ['capture', 'encode'], 'mean', undefined);
  expect(graph.columns.map(({ values }) => values[0])).toEqual([null, 500, 700, 700]);
  expect(align(graph)[1]).toEqual([500]);
});

test('queue stands last, and what was never measured is left out', () => {
  expect(stageNames([sample(1000)])).toEqual(['capture', 'encode', 'queue']);
  const line = timeline([sample(1000)]);
  expect(throughputGraph(line).columns).toHaveLength(1);
  expect(healthGraph(line).columns).toHaveLength(1);
});

test('buckets are read as the host writes them', () => {
  const bars = new Map<number, number>();
  // Index 8: three, then two are skipped, then four at 11, one at 12.
  addBuckets(bars, [8, 3, -2, 4, 1]);
  expect([...bars]).toEqual([
    [2, 7],
    [3, 1],
  ]);
});

test('recordings are found by every word, and unreadable ones come last in any order', () => {
  const entry = (label: string | null, duration: number): Entry => ({
    name: `${label ?? 'broken'}.json`,
    bytes: 1,
    meta:
      label === null
        ? null
        : ({ label, duration_ms: duration, started_unix_ms: 0 } as Schemas['CaptureMeta']),
  });
  const all = [entry('old driver', 5), entry(null, 0), entry('new driver', 9)];
  const names = (search: Parameters<typeof arrange>[1]) =>
    arrange(all, search).map(({ name }) => name);
  expect(names({ q: 'driver new' })).toEqual(['new driver.json']);
  expect(names({ sort: 'duration' })).toEqual([
    'old driver.json',
    'new driver.json',
    'broken.json',
  ]);
  expect(names({ sort: '-duration' })).toEqual([
    'new driver.json',
    'old driver.json',
    'broken.json',
  ]);
  expect(names({ kind: 'unreadable' })).toEqual(['broken.json']);
});
