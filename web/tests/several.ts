// Makes a recording of several sessions and any length from a short one of one session.
import type { Schemas } from '../src/api/client';

/** Without its distribution. */
function bare(stage: Schemas['StageStats']): Schemas['StageStats'] {
  const copy = { ...stage };
  delete copy.hist;
  return copy;
}

/** Sessions side by side, the samples repeated to as many as are asked for. */
export function several(c: Schemas['Capture'], sessions: number, times: number): void {
  const [session] = c.meta.sessions;
  const [summary] = c.summary.sessions;
  if (session === undefined || summary === undefined) throw new Error('no session');
  const ids = Array.from({ length: sessions }, (_, at) => `s${String(at + 1)}`);
  const length = c.meta.duration_ms;
  c.samples = Array.from({ length: Math.ceil(times) }, (_, round) =>
    c.samples.flatMap((sample) =>
      ids.map((session_id) => {
        const host = sample.host && bare(sample.host);
        const t_ms = sample.t_ms + round * length;
        return times === 1
          ? { ...sample, session_id }
          : ({ ...sample, session_id, t_ms, host } as Schemas['StatsSample']);
      }),
    ),
  ).flat();
  if (times > 1) for (const one of c.samples) one.stages = one.stages.map(bare);
  c.meta.duration_ms = length * Math.ceil(times);
  c.meta.sessions = ids.map((id) => ({ ...session, id }));
  c.summary.sessions = ids.map((session_id) => ({ ...summary, session_id }));
  c.meta.kind = 'mixed';
}
