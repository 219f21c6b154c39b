// The four graphs of a run, over one another and with one cursor.
import { useMemo } from 'react';

import type { Schemas } from '@/api/client';
import type { Statistic } from '@/app/router';
import { Chart } from '@/chart/Chart';
import type { Span } from '@/chart/types';
import { m } from '@/paraglide/messages.js';
import { Choice } from '@/ui/controls';
import { axis, clock, clockTenths, count, countAxis, fps, mbps, ms, msAxis } from '@/units';
import {
  healthGraph,
  rateGraph,
  rttGraph,
  stageGraph,
  stageNames,
  throughputGraph,
  timeline,
} from './graphs';

/** The budget is drawn if it is at most so many times the highest figure. */
const BUDGET_IN_SIGHT = 3;

export interface RunGraphsProps {
  /** Of one session. */
  samples: readonly Schemas['StatsSample'][];
  /** What `host` may take, if the session is known. */
  budgetUs: number | undefined;
  markers: readonly Schemas['Marker'][];
  statistic: Statistic;
  onStatistic: (statistic: Statistic) => void;
  sync: string;
  span?: Span | undefined;
  highlight?: Span | undefined;
  onZoom?: ((span: Span | undefined) => void) | undefined;
  isLive?: boolean;
}

export function RunGraphs(props: RunGraphsProps) {
  const { samples, budgetUs, statistic } = props;
  const line = useMemo(() => timeline(samples), [samples]);
  // A budget far above all figures would press them to the floor: it is said instead.
  const highest = useMemo(
    () => Math.max(0, ...line.rows.map((sample) => sample?.host?.p99_us ?? 0)),
    [line],
  );
  const isNear = budgetUs !== undefined && budgetUs <= BUDGET_IN_SIGHT * highest;
  const stages = useMemo(
    () => stageGraph(line, stageNames(samples), statistic, isNear ? budgetUs : undefined),
    [line, samples, statistic, budgetUs, isNear],
  );
  const rate = useMemo(() => rateGraph(line), [line]);
  const throughput = useMemo(() => throughputGraph(line), [line]);
  const health = useMemo(() => healthGraph(line), [line]);
  const rtt = useMemo(() => rttGraph(line), [line]);
  const shared = {
    atX: clock,
    atFineX: clockTenths,
    sync: props.sync,
    span: props.span,
    highlight: props.highlight,
    onZoom: props.onZoom,
    markers: props.markers,
    idle: props.isLive ? ('last' as const) : ('none' as const),
  };
  return (
    <div className="grid gap-4 xl:grid-cols-2">
      <section className="card min-w-0 p-4 xl:col-span-2">
        <Chart
          {...shared}
          title={m.graph_stages()}
          description={[
            statistic === 'mean' ? m.stages_sum() : m.stages_do_not_sum(),
            ...(budgetUs !== undefined && !isNear ? [m.budget_above({ time: ms(budgetUs) })] : []),
          ].join(' ')}
          graph={stages}
          measure="ms"
          unit={ms}
          axis={msAxis}
          height={280}
        >
          <Choice
            label={m.statistic()}
            value={statistic}
            options={[
              ['p50', 'p50'],
              ['p99', 'p99'],
              ['mean', m.mean()],
            ]}
            onChange={props.onStatistic}
          />
        </Chart>
      </section>
      <section className="card min-w-0 p-4">
        <Chart
          {...shared}
          title={m.graph_rate()}
          measure="fps"
          graph={rate}
          unit={fps}
          axis={axis}
        />
      </section>
      <section className="card min-w-0 p-4">
        <Chart
          {...shared}
          title={m.graph_throughput()}
          graph={throughput}
          measure="Mbit/s"
          unit={mbps}
          axis={axis}
        />
      </section>
      <section className="card min-w-0 p-4">
        <Chart {...shared} title={m.graph_health()} graph={health} unit={count} axis={countAxis} />
      </section>
      {rtt.columns.length > 0 && (
        <section className="card min-w-0 p-4">
          <Chart
            {...shared}
            title={m.graph_network()}
            measure="ms"
            graph={rtt}
            unit={ms}
            axis={msAxis}
          />
        </section>
      )}
    </div>
  );
}
