// How often each duration came: the buckets of all windows of the range, added up. Loaded when somebody looks.
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';

import type { Schemas } from '@/api/client';
import { distributionsQuery } from '@/api/queries';
import { Chart } from '@/chart/Chart';
import type { Graph, Span } from '@/chart/types';

import { m } from '@/paraglide/messages.js';
import { stageColour } from '@/stages';
import { Button, Choice } from '@/ui/controls';
import { Failure, Loading } from '@/ui/states';
import { count, countAxis, ms } from '@/units';
import { addBuckets, middleUs } from './buckets';

function stageOf(sample: Schemas['StatsSample'], name: string) {
  return name === 'host' ? sample.host : sample.stages.find((stage) => stage.name === name);
}

interface Shown {
  id: string;
  session: string | undefined;
  stages: readonly string[];
  span: Span | undefined;
  onStage: (stage: string) => void;
}

export function Distribution({ stage, ...shown }: Shown & { stage: string | undefined }) {
  return (
    <section className="card min-w-0 p-4">
      {stage !== undefined ? (
        <Loaded {...shown} stage={stage} />
      ) : (
        <div className="flex flex-wrap items-center gap-3">
          <h2>{m.distribution()}</h2>
          <Button onClick={() => shown.onStage('host')}>{m.distribution_show()}</Button>
        </div>
      )}
    </section>
  );
}

function Loaded({ id, session, stages, span, stage, onStage }: Shown & { stage: string }) {
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
          onChange={onStage}
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
