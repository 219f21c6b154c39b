// The verdict first: what it is, what it stands on, what to try.
import { Lightbulb } from 'lucide-react';

import type { Schemas } from '@/api/client';
import { hint, part, sentence, short, TONE } from '@/capture/verdict';
import { m } from '@/paraglide/messages.js';
import { Badge, Button, Stat } from '@/ui/controls';
import { clockTenths, count, fps, ms, percent } from '@/units';
import type { Span } from '@/chart/types';

export function VerdictCard({
  verdict,
  span,
  onReset,
}: {
  verdict: Schemas['Verdict'];
  span: Span | undefined;
  onReset: () => void;
}) {
  const { evidence } = verdict;
  const missing = evidence.missing.reduce((sum, { frames }) => sum + frames, 0);
  const stats: [string, string][] = [
    [m.late_frames(), percent(part(evidence.late, evidence.frames))],
    [m.latency_target(), ms(evidence.target_us)],
    [m.frame_rate(), `${fps(evidence.fps)} / ${fps(evidence.granted_fps)}`],
    [m.missing_frames(), percent(part(missing, evidence.granted_frames))],
    [m.packets_lost(), percent(part(evidence.packets_lost, evidence.packets_sent))],
    [
      evidence.busiest
        ? m.busiest({ stages: evidence.busiest.stages.join(' + ') })
        : m.busiest_unknown(),
      percent(evidence.busiest?.busy_share),
    ],
    [m.frames_sent(), count(evidence.frames)],
  ];
  return (
    <section className="card p-4 md:p-5" aria-label={m.verdict()}>
      <div className="flex flex-wrap items-center gap-2">
        <Badge tone={TONE[verdict.kind]}>{short(verdict)}</Badge>
        {span && (
          <>
            <span className="text-muted">
              {m.range({ from: clockTenths(span.from), to: clockTenths(span.to) })}
            </span>
            <Button look="quiet" className="min-h-7" onClick={onReset}>
              {m.whole_run()}
            </Button>
          </>
        )}
      </div>
      <p className="mt-3 max-w-prose text-lg font-medium text-balance">{sentence(verdict)}</p>
      <p className="mt-2 flex max-w-prose gap-2 text-muted">
        <Lightbulb aria-hidden className="mt-0.5 size-4 shrink-0" />
        <span>{hint(verdict)}</span>
      </p>
      <dl className="mt-4 grid grid-cols-2 gap-x-6 gap-y-3 sm:grid-cols-4 2xl:grid-cols-7">
        {stats.map(([label, value]) => (
          <Stat
            key={label}
            label={label}
            value={value}
            title={value === '–' ? m.absent_why() : label}
          />
        ))}
      </dl>
    </section>
  );
}
