// The moments worth a look, one click away: the worst ten seconds, each stutter, the markers. Frames that were kept whole
// are drawn one by one.
import { useMemo, useState } from 'react';

import type { Schemas } from '@/api/client';
import { Chart } from '@/chart/Chart';
import type { Graph, Span } from '@/chart/types';
import { m } from '@/paraglide/messages.js';
import { stageColour } from '@/stages';
import { Button } from '@/ui/controls';
import { bytes, clock, clockTenths, count, ms, msAxis } from '@/units';

/** Whole windows around a moment: a part of one has no figures. */
export function around(from: number, to: number, stepMs: number, end: number): Span {
  const step = Math.max(1, stepMs);
  return {
    from: Math.max(0, (Math.floor(from / step) - 2) * step),
    to: Math.min(end, (Math.ceil(to / step) + 2) * step),
  };
}

export function Moments({
  capture,
  markers,
  session,
  chosen,
  onChoose,
  onZoom,
}: {
  capture: Schemas['Capture'];
  /** Those of the session, worded. */
  markers: readonly Schemas['Marker'][];
  session: string | undefined;
  /** Start of the kept span that is drawn. */
  chosen: number | undefined;
  onChoose: (at: number) => void;
  onZoom: (span: Span) => void;
}) {
  const kept = capture.kept_frames?.find((one) => one.session_id === session);
  const { duration_ms: end } = capture.meta;
  const step = capture.meta.step_ms === 0 ? 1000 : (capture.meta.step_ms ?? 1000);
  const span = kept?.spans.find(({ from_ms }) => from_ms === chosen) ?? kept?.spans[0];
  return (
    <section className="card min-w-0 p-4">
      <h2>{m.moments()}</h2>
      {kept === undefined || kept.spans.length === 0 ? (
        <p className="mt-2 text-muted">{m.no_kept_frames()}</p>
      ) : (
        <>
          <div className="mt-3 flex flex-wrap gap-1.5">
            {kept.spans.map((one) => (
              <Button
                key={`${one.reason}${String(one.from_ms)}`}
                className="min-h-8 px-2.5 text-sm aria-pressed:border-accent aria-pressed:bg-accent-soft aria-pressed:text-accent-text"
                aria-pressed={one === span}
                onClick={() => {
                  onChoose(one.from_ms);
                  onZoom(around(one.from_ms, one.to_ms, step, end));
                }}
              >
                {one.reason === 'stutter'
                  ? m.stutter_at({ time: clockTenths(one.from_ms) })
                  : m.worst_ten_at({ time: clock(one.from_ms) })}
              </Button>
            ))}
          </div>
          {span && <FrameBars kept={kept} span={span} />}
        </>
      )}
      {markers.length > 0 && (
        <details className="mt-4">
          <summary className="w-fit text-muted hover:text-text">
            {m.markers({ count: count(markers.length) })}
          </summary>
          <ul className="mt-2 max-h-72 overflow-y-auto">
            {markers.map((marker, at) => (
              <li key={`${String(marker.t_ms)}-${String(at)}`}>
                <button
                  type="button"
                  className="flex w-full gap-3 rounded-md px-2 py-1 text-left hover:bg-raised"
                  onClick={() => onZoom(around(marker.t_ms, marker.t_ms, step, end))}
                >
                  <span className="text-muted">{clockTenths(marker.t_ms)}</span>
                  <bdi className="min-w-0 break-words">{marker.text}</bdi>
                </button>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function FrameBars({ kept, span }: { kept: Schemas['KeptFrames']; span: Schemas['KeptSpan'] }) {
  const [at, setAt] = useState<number | null>(null);
  const frames = useMemo(
    () => kept.frames.filter((one) => one.t_ms >= span.from_ms && one.t_ms <= span.to_ms),
    [kept, span],
  );
  const graph = useMemo<Graph>(
    () => ({
      x: frames.map((frame) => frame.n),
      columns: [
        ...kept.stages.map((stage, index) => ({
          label: stage,
          colour: stageColour(stage),
          kind: 'bar' as const,
          values: frames.map((frame) => frame.stages_us[index] ?? null),
        })),
        {
          label: 'queue',
          colour: stageColour('queue'),
          kind: 'bar' as const,
          values: frames.map((frame) => frame.waits_us.reduce((sum, wait) => sum + wait, 0)),
        },
      ],
    }),
    [frames, kept],
  );
  const frame = at === null ? undefined : frames[at];
  return (
    <div className="mt-4">
      <Chart
        title={m.frame_by_frame()}
        measure="ms"
        graph={graph}
        x="number"
        atX={count}
        unit={ms}
        axis={msAxis}
        onPick={setAt}
        height={220}
      />
      <p className="mt-1 min-h-6 text-sm text-muted" aria-live="polite">
        {frame &&
          [
            m.frame_number({ n: count(frame.n) }),
            frame.idr ? 'IDR' : frame.repeat ? m.frame_repeated() : 'P',
            bytes(frame.bytes),
            `host ${ms(frame.host_us)}`,
            m.frame_interval({ time: ms(frame.interval_us) }),
            ...(frame.late ? [m.frame_late({ stage: frame.late })] : []),
          ].join(' · ')}
      </p>
    </div>
  );
}
