// How often each duration came: the buckets of all windows of the range, added up. Loaded when somebody looks.
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';

import type { Schemas } from '@/api/client';
import { distributionsQuery } from '@/api/queries';
import { Chart } from '@/chart/Chart';
import type { Graph, Span } from '@/chart/types';
import { m } from '@/paraglide/messages.js';
import { stageColour } from '@/stages';
import { Button, Choice } from '@/ui/controls';
import { Failure, Loading } from '@/ui/states';
import { count, countAxis, ms } from '@/units';

/** Buckets an octave, as recorded; four of them make one bar. */
const PER_OCTAVE = 64;
const MERGED = 4;

/** Adds a window's buckets: the first index, then counts; `-n` skips n buckets. */
export function addBuckets(into: Map<number, number>, wire: readonly number[]): void {
  let index = wire[0] ?? 0;
  for (const entry of wire.slice(1)) {
    if (entry < 0) {
      index -= entry;
      continue;
    }
    const bar = Math.floor(index / MERGED);
    if (entry > 0) into.set(bar, (into.get(bar) ?? 0) + entry);
    index += 1;
  }
}

/** The geometric middle of a bar, µs. */
const middleUs = (bar: number) => 2 ** ((bar + 0.5) / (PER_OCTAVE / MERGED)) * 1e6;

function stageOf(sample: Schemas['StatsSample'], name: string) {
  return name === 'host' ? sample.host : sample.stages.find((stage) => stage.name === name);
}

export function Distribution(props: {
  id: string;
  session: string | undefined;
  stages: readonly string[];
  span: Span | undefined;
}) {
  const [open, setOpen] = useState(false);
  return (
    <section className="card min-w-0 p-4">
      {open ? (
        <Loaded {...props} />
      ) : (
        <div className="flex flex-wrap items-center gap-3">
          <h2>{m.distribution()}</h2>
          <Button onClick={() => setOpen(true)}>{m.distribution_show()}</Button>
        </div>
      )}
    </section>
  );
}

function Loaded({
  id,
  session,
  stages,
  span,
}: {
  id: string;
  session: string | undefined;
  stages: readonly string[];
  span: Span | undefined;
}) {
  const [stage, setStage] = useState('host');
  const capture = useQuery(distributionsQuery(id));
  const graph = useMemo<Graph | undefined>(() => {
    if (capture.data === undefined) return undefined;
    const bars = new Map<number, number>();
    for (const sample of capture.data.samples) {
      if (sample.session_id !== session) continue;
      if (span && (sample.t_ms <= span.from || sample.t_ms > span.to)) continue;
      const buckets = stageOf(sample, stage)?.hist;
      if (buckets != null) addBuckets(bars, buckets);
    }
    const found = [...bars.keys()];
    const first = Math.min(...found);
    const length = found.length === 0 ? 0 : Math.max(...found) - first + 1;
    const all = Array.from({ length }, (_, at) => first + at);
    return {
      x: all.map(middleUs),
      columns: [
        {
          label: stage,
          colour: stage === 'host' ? '--accent' : stageColour(stage),
          kind: 'bar',
          values: all.map((bar) => bars.get(bar) ?? null),
        },
      ],
    };
  }, [capture.data, session, stage, span]);

  if (capture.isError) {
    return <Failure error={capture.error} again={() => void capture.refetch()} />;
  }
  if (graph === undefined) return <Loading what={m.distribution()} />;
  return (
    <>
      <div className="mb-3 overflow-x-auto">
        <Choice
          label={m.stage()}
          value={stage}
          options={[...stages, 'host'].map((name) => [name, name] as const)}
          onChange={setStage}
        />
      </div>
      <Chart
        title={m.distribution()}
        description={m.distribution_how()}
        graph={graph}
        x="log"
        atX={ms}
        unit={(value) => m.frames({ count: count(value) })}
        axis={countAxis}
      />
    </>
  );
}
