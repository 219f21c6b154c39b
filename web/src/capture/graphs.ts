// Which graphs a run has, from the samples of one session. Live and saved runs are drawn the same.
import type { Schemas } from '@/api/client';
import type { Statistic } from '@/app/router';
import type { Column, Graph } from '@/chart/types';
import { m } from '@/paraglide/messages.js';
import { stageColour } from '@/stages';

type Sample = Schemas['StatsSample'];
type Stage = Schemas['StageStats'];
type Figure = number | null | undefined;

/** More than so many windows without a sample are a gap. */
const GAP = 0.5;

/** Where samples lie in time; `null` stands where there is a gap between two. */
export interface Timeline {
  x: number[];
  rows: (Sample | null)[];
}

export function timeline(samples: readonly Sample[]): Timeline {
  const line: Timeline = { x: [], rows: [] };
  let before: Sample | undefined;
  for (const sample of samples) {
    const start = sample.t_ms - sample.window_ms;
    if (before !== undefined && start - before.t_ms > GAP * sample.window_ms) {
      line.x.push((before.t_ms + start) / 2);
      line.rows.push(null);
    }
    line.x.push(sample.t_ms);
    line.rows.push(sample);
    before = sample;
  }
  return line;
}

const pick = (line: Timeline, read: (sample: Sample) => Figure): (number | null)[] =>
  line.rows.map((sample) => (sample === null ? null : (read(sample) ?? null)));

function figure(stage: Stage | null | undefined, statistic: Statistic): number | null {
  if (stage === null || stage === undefined) return null;
  switch (statistic) {
    case 'mean':
      return stage.mean_us;
    case 'p50':
      return stage.p50_us;
    case 'p99':
      return stage.p99_us;
  }
}

/** The stages in the order of the path, `queue` last, of which there is any figure. */
export function stageNames(samples: readonly Sample[]): string[] {
  const names = new Set<string>();
  for (const sample of samples) for (const stage of sample.stages) names.add(stage.name);
  const queue = names.delete('queue');
  return queue ? [...names, 'queue'] : [...names];
}

export function stageGraph(
  line: Timeline,
  stages: readonly string[],
  statistic: Statistic,
  budgetUs: number | undefined,
): Graph {
  const columns: Column[] = stages.map((name) => ({
    label: name,
    colour: stageColour(name),
    kind: 'area',
    values: pick(line, (sample) =>
      figure(
        sample.stages.find((stage) => stage.name === name),
        statistic,
      ),
    ),
  }));
  columns.push(
    {
      label: 'host p50',
      colour: '--host-p50',
      kind: 'line',
      values: pick(line, (sample) => sample.host?.p50_us),
    },
    {
      label: 'host p99',
      colour: '--host-p99',
      kind: 'line',
      values: pick(line, (sample) => sample.host?.p99_us),
    },
  );
  if (budgetUs !== undefined) {
    columns.push({
      label: m.budget(),
      colour: '--budget',
      kind: 'dash',
      values: line.x.map(() => budgetUs),
    });
  }
  return { x: line.x, columns };
}

/** Columns without a single figure are left out. */
function measured(x: number[], columns: Column[]): Graph {
  return { x, columns: columns.filter(({ values }) => values.some((value) => value !== null)) };
}

export function rateGraph(line: Timeline): Graph {
  return measured(line.x, [
    {
      label: m.fps_new(),
      colour: '--accent',
      kind: 'area',
      values: pick(line, (sample) => sample.fps),
    },
    {
      label: m.fps_repeat(),
      colour: '--stage-queue',
      kind: 'area',
      values: pick(line, (sample) => sample.repeat_fps),
    },
  ]);
}

export function throughputGraph(line: Timeline): Graph {
  return measured(line.x, [
    {
      label: m.goodput(),
      colour: '--stage-send',
      kind: 'area',
      values: pick(line, (sample) => sample.mbps),
    },
    {
      label: m.bitrate_target(),
      colour: '--budget',
      kind: 'dash',
      values: pick(line, (sample) =>
        sample.bitrate_kbps == null ? null : sample.bitrate_kbps / 1000,
      ),
    },
  ]);
}

const REASON_COLOURS = ['--stage-encode', '--stage-packetize', '--stage-capture', '--stage-other'];

/** What went wrong in each window: frames dropped by reason, packets lost and rebuilt, late frames. */
export function healthGraph(line: Timeline): Graph {
  const reasons = new Set<string>();
  for (const sample of line.rows) {
    for (const drop of sample?.dropped_by_reason ?? []) reasons.add(drop.reason);
  }
  return measured(line.x, [
    ...[...reasons].map((reason, at): Column => ({
      label: m.dropped_because({ reason }),
      colour: REASON_COLOURS[at % REASON_COLOURS.length] ?? '--stage-other',
      kind: 'area',
      values: pick(
        line,
        (sample) => sample.dropped_by_reason?.find((drop) => drop.reason === reason)?.count ?? 0,
      ),
    })),
    {
      label: m.late_frames(),
      colour: '--budget',
      kind: 'line',
      values: pick(line, (sample) => sample.late),
    },
    {
      label: m.packets_lost(),
      colour: '--warn',
      kind: 'line',
      values: pick(line, (sample) => sample.packets_dropped),
    },
    {
      label: m.fec_recovered(),
      colour: '--good',
      kind: 'line',
      values: pick(line, (sample) => sample.fec_recovered),
    },
  ]);
}

export function rttGraph(line: Timeline): Graph {
  return measured(line.x, [
    {
      label: m.rtt(),
      colour: '--accent',
      kind: 'line',
      values: pick(line, (sample) => sample.rtt_us),
    },
    {
      label: m.one_way(),
      colour: '--stage-capture',
      kind: 'line',
      values: pick(line, (sample) => sample.client?.one_way_us),
    },
    {
      label: m.decode_p99(),
      colour: '--host-p99',
      kind: 'line',
      values: pick(line, (sample) => sample.client?.decode_p99_us),
    },
  ]);
}
