// The one graph of the console: canvas for the eyes, a table for screen readers, keys for the cursor.
import { useCallback, useEffect, useEffectEvent, useMemo, useRef, type ReactNode } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { useIsDark } from '@/app/preferences';
import { m } from '@/paraglide/messages.js';
import { ABSENT } from '@/units';
import { align, options, type Look } from './draw';
import { DataTable } from './DataTable';
import { Legend } from './Legend';
import { useTouch } from './touch';
import type { Graph, Marker, Span } from './types';

/** The mouse is near a marker within so many pixels. */
const NEAR_PX = 5;

export interface ChartProps extends Omit<Look, 'height' | 'x'> {
  title: string;
  description?: ReactNode;
  graph: Graph;
  /** What the axis counts in. */
  measure?: string;
  /** Writes a figure with its unit. */
  unit: (value: number | null | undefined) => string;
  /** What is seen of x; all of it without. */
  span?: Span | undefined;
  highlight?: Span | undefined;
  onZoom?: ((span: Span | undefined) => void) | undefined;
  onPick?: ((index: number | null) => void) | undefined;
  markers?: readonly Marker[];
  height?: number;
  x?: Look['x'];
  /** What the legend says while no cursor is on the graph. */
  idle?: 'last' | 'none';
  children?: ReactNode;
}

const NO_MARKERS: readonly Marker[] = [];

export function Chart(props: ChartProps) {
  const { title, graph, unit, atX, axis, sync, span, idle = 'none', x = 'time' } = props;
  const { height = 200, markers = NO_MARKERS, highlight } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const values = useRef(new Map<string, HTMLElement>());
  const isDark = useIsDark();

  const write = useEffectEvent((at: number | null) => {
    const index = at ?? (idle === 'last' ? graph.x.length - 1 : null);
    for (const column of graph.columns) {
      const cell = values.current.get(column.label);
      if (cell) cell.textContent = index === null ? '' : unit(upTo(column.values, index));
    }
    if (readout.current) {
      const time = at === null ? undefined : graph.x[at];
      readout.current.textContent =
        time === undefined ? '' : [atX(time), ...near(plot.current, markers, time)].join(' · ');
    }
    props.onPick?.(at);
  });
  const zoomToSelection = (u: uPlot) => {
    if (u.select.width <= 0) return;
    const from = u.posToVal(u.select.left, 'x');
    const to = u.posToVal(u.select.left + u.select.width, 'x');
    u.setSelect({ ...u.select, width: 0, left: 0 }, false);
    props.onZoom?.({ from: Math.max(0, Math.round(from)), to: Math.round(to) });
  };
  const zoomed = useEffectEvent(zoomToSelection);
  const touch = useTouch(plot, zoomToSelection);
  const seen = useEffectEvent(() => ({
    graph,
    span,
    markers,
    highlight,
    atX,
    atFineX: props.atFineX,
    axis,
  }));

  const shape = graph.columns.map(({ label, kind, colour }) => `${label}/${kind}/${colour}`).join();
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const now = seen();
    const u = new uPlot(
      options(
        now.graph,
        {
          axis: (y) => seen().axis(y),
          atX: (at) => seen().atX(at),
          atFineX: (at) => (seen().atFineX ?? seen().atX)(at),
          sync,
          height,
          x,
        },
        Math.max(120, element.clientWidth),
        { markers: () => seen().markers, highlight: () => seen().highlight },
        {
          setCursor: [(self) => write(self.cursor.idx ?? null)],
          setSelect: [(self) => zoomed(self)],
        },
      ),
      align(now.graph),
      element,
    );
    plot.current = u;
    if (now.span) u.setScale('x', { min: now.span.from, max: now.span.to });
    write(null);
    const sized = new ResizeObserver(() =>
      u.setSize({ width: Math.max(120, element.clientWidth), height }),
    );
    sized.observe(element);
    return () => {
      sized.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [shape, sync, height, x, isDark]);

  useEffect(() => {
    const u = plot.current;
    if (u === null) return;
    u.setData(align(graph), span === undefined);
    if (span) u.setScale('x', { min: span.from, max: span.to });
    write(u.cursor.idx ?? null);
  }, [graph, span]);
  useEffect(() => plot.current?.redraw(false), [markers, highlight]);

  const remember = useCallback((label: string, cell: HTMLElement | null) => {
    if (cell) values.current.set(label, cell);
    else values.current.delete(label);
  }, []);

  function move(by: number) {
    const u = plot.current;
    if (u === null || graph.x.length === 0) return;
    const at = Math.min(graph.x.length - 1, Math.max(0, (u.cursor.idx ?? -1) + by));
    const value = graph.x[at];
    if (value !== undefined) u.setCursor({ left: u.valToPos(value, 'x'), top: 10 });
  }

  /** Shows a half of what is seen around the cursor (2), or twice as much (0.5). */
  function zoomBy(factor: number) {
    const u = plot.current;
    const { min, max } = u?.scales['x'] ?? {};
    const [first, last] = [graph.x[0], graph.x.at(-1)];
    if (u === null || min == null || max == null || first === undefined || last === undefined) {
      return;
    }
    const half = (max - min) / factor / 2;
    const middle = graph.x[u.cursor.idx ?? -1] ?? (min + max) / 2;
    const from = Math.max(first, Math.round(middle - half));
    const to = Math.min(last, Math.round(middle + half));
    if (factor < 1 && from <= first && to >= last) props.onZoom?.(undefined);
    else if (from < to) props.onZoom?.({ from, to });
  }

  const isEmpty = useMemo(
    () => !graph.columns.some((column) => column.values.some((value) => value != null)),
    [graph],
  );
  return (
    <figure className="m-0 min-w-0">
      <figcaption className="mb-1 flex flex-wrap items-center gap-x-3 gap-y-1">
        <h2>{title}</h2>
        {props.measure !== undefined && <span className="text-sm text-muted">{props.measure}</span>}
        {props.children}
        <span ref={readout} className="ml-auto min-h-5 text-sm text-muted" />
      </figcaption>
      {props.description !== undefined && (
        <p className="mb-2 text-sm text-muted">{props.description}</p>
      )}
      <div className="relative">
        {/* The cursor is moved by keys, and no role that exists says so. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
        <div
          ref={place}
          role="group"
          aria-label={m.graph_keys({ title })}
          // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
          tabIndex={0}
          onKeyDown={(event) => {
            if (event.key === 'ArrowRight') move(event.shiftKey ? 10 : 1);
            else if (event.key === 'ArrowLeft') move(event.shiftKey ? -10 : -1);
            else if (event.key === '+' || event.key === '=') zoomBy(2);
            else if (event.key === '-') zoomBy(0.5);
            else if (event.key === 'Escape') props.onZoom?.(undefined);
            else return;
            event.preventDefault();
          }}
          onDoubleClick={() => props.onZoom?.(undefined)}
          {...touch}
          className="min-w-0 touch-pan-y overflow-hidden"
        />
        {isEmpty && (
          <p className="absolute inset-0 flex items-center justify-center text-muted">
            {m.graph_empty({ absent: ABSENT })}
          </p>
        )}
      </div>
      <Legend columns={graph.columns} remember={remember} />
      <DataTable title={title} graph={graph} unit={unit} atX={atX} />
    </figure>
  );
}

/** The figure at an x; where that is another column's, the last one before it. */
function upTo(values: readonly (number | null | undefined)[], index: number) {
  let at = index;
  while (at > 0 && values[at] === undefined) at -= 1;
  return values[at];
}

function near(u: uPlot | null, markers: readonly Marker[], time: number): string[] {
  if (u === null) return [];
  const at = u.valToPos(time, 'x');
  return markers
    .filter((marker) => Math.abs(u.valToPos(marker.t_ms, 'x') - at) <= NEAR_PX)
    .slice(0, 3)
    .map((marker) => marker.text.slice(0, 80));
}
