// Turns a graph into what uPlot takes: stacked columns, axes in our colours, lines for the markers.
import uPlot from 'uplot';

import { colour, faint, FONT, MARKER_COLOUR } from './theme';
import type { Column, Graph, Marker, Span } from './types';

export interface Look {
  /** Writes a figure of the y axis. */
  axis: (value: number) => string;
  /** Writes an x. */
  atX: (x: number) => string;
  /** The same where the axis is finer than a second. */
  atFineX?: ((x: number) => string) | undefined;
  x: 'time' | 'log' | 'number';
  /** Graphs of one key share one cursor. */
  sync?: string | undefined;
  height: number;
}

const stacked = (column: Column) => column.kind === 'area' || column.kind === 'bar';

/** Columns in the order of drawing: the highest of the stack first, each lower one over it, lines last. */
export function order(columns: readonly Column[]): Column[] {
  return [...columns.filter(stacked).reverse(), ...columns.filter((column) => !stacked(column))];
}

/** What uPlot draws: areas hold the sum of themselves and those below. A gap stays one. */
export function align(graph: Graph): uPlot.AlignedData {
  const sums = new Map<Column, (number | null)[]>();
  let below: (number | null)[] | undefined;
  for (const column of graph.columns.filter(stacked)) {
    const base: (number | null)[] | undefined = below;
    const sum: (number | null)[] = column.values.map((value, at) => {
      const under = base?.[at] ?? null;
      return value == null ? under : value + (under ?? 0);
    });
    sums.set(column, sum);
    below = sum;
  }
  const drawn = order(graph.columns).map((column) => sums.get(column) ?? column.values);
  return [graph.x as number[], ...(drawn as (number | null | undefined)[][])];
}

/** The library names its scales in an enum that is there for the compiler only. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
const LOGARITHMIC = 3 as uPlot.Scale.Distr;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const STEPS = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30, 60, 120].map((n) => n * MINUTE),
];

function series(column: Column): uPlot.Series {
  const stroke = colour(column.colour);
  const base = { label: column.label, stroke, spanGaps: false, points: { show: false } };
  switch (column.kind) {
    case 'area':
      return { ...base, fill: stroke, width: 0 };
    case 'bar': {
      const bars = uPlot.paths.bars?.({ size: [0.85, 40, 1] });
      return { ...base, fill: stroke, width: 0, ...(bars && { paths: bars }) };
    }
    case 'dash':
      return { ...base, width: 1.5, dash: [6, 4] };
    case 'line':
      return { ...base, width: 1.75 };
  }
}

/** A point alone between two gaps is no line; it is drawn as a dot. */
function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = [];
  for (let at = 0; at < values.length; at++) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
}

/** All that uPlot is told once, for these columns and colours. */
export function options(
  graph: Graph,
  look: Look,
  width: number,
  live: { markers: () => readonly Marker[]; highlight: () => Span | undefined },
  hooks: uPlot.Hooks.Arrays,
): uPlot.Options {
  const muted = colour('--muted');
  const grid = { stroke: colour('--grid'), width: 1 };
  const accent = colour('--accent');
  const markerColours = new Map(
    Object.entries(MARKER_COLOUR).map(([kind, property]) => [kind, colour(property)]),
  );
  const strokes = order(graph.columns).map((column) => colour(column.colour));
  const axis = { stroke: muted, font: FONT, ticks: { show: false } };
  return {
    width,
    height: look.height,
    legend: { show: false },
    focus: { alpha: 1 },
    cursor: {
      x: true,
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: 6 },
      bind: { dblclick: () => null },
      ...(look.sync !== undefined && { sync: { key: look.sync, scales: ['x', null] } }),
    },
    scales: {
      x: {
        time: false,
        ...(look.x === 'log' && { distr: LOGARITHMIC }),
        ...(look.x === 'number' && {
          range: (_: uPlot, min: number, max: number): uPlot.Range.MinMax => [min - 0.5, max + 0.5],
        }),
      },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        size: 28,
        values: (_, at, __, ___, step) => {
          const write = step < SECOND ? (look.atFineX ?? look.atX) : look.atX;
          return at.map((x: number | null) => (x === null ? null : write(x)));
        },
        ...(look.x === 'time' && { incrs: STEPS }),
      },
      {
        ...axis,
        grid,
        size: 52,
        gap: 6,
        values: (_, at) => at.map((y) => look.axis(y)),
      },
    ],
    series: [{}, ...order(graph.columns).map(series)],
    hooks: {
      ...hooks,
      drawClear: [
        (u) => {
          const span = live.highlight();
          if (span === undefined) return;
          const [a, b] = [u.valToPos(span.from, 'x', true), u.valToPos(span.to, 'x', true)];
          u.ctx.fillStyle = faint(accent, 0.12);
          u.ctx.fillRect(a, u.bbox.top, Math.max(1, b - a), u.bbox.height);
        },
      ],
      draw: [
        (u) => {
          const { ctx, bbox } = u;
          ctx.save();
          ctx.beginPath();
          ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
          ctx.clip();
          strokes.forEach((_, at) => {
            for (const index of lonely(u.data[at + 1] ?? [])) {
              const y = u.data[at + 1]?.[index];
              const x = u.data[0][index];
              if (y == null || x === undefined) continue;
              ctx.fillStyle = strokes[at] ?? muted;
              ctx.beginPath();
              const r = 2.5 * devicePixelRatio;
              ctx.arc(u.valToPos(x, 'x', true), u.valToPos(y, 'y', true), r, 0, 2 * Math.PI);
              ctx.fill();
            }
          });
          ctx.lineWidth = devicePixelRatio;
          for (const marker of live.markers()) {
            const x = Math.round(u.valToPos(marker.t_ms, 'x', true)) + 0.5;
            if (x < bbox.left || x > bbox.left + bbox.width) continue;
            ctx.strokeStyle = faint(markerColours.get(marker.kind) ?? muted, 0.75);
            ctx.setLineDash(marker.kind === 'operator' ? [] : [3, 3]);
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
          }
          ctx.restore();
        },
      ],
    },
  };
}
