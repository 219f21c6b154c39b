// Recordings to look at: a real one of a few seconds, and what is made of it.
import { expect } from '@playwright/test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Schemas } from '../src/api/client';
import type { Host } from './host';

/** Pairs a client and records its stream for some seconds. */
export async function record(host: Host, seconds = 6): Promise<Schemas['Capture']> {
  await host.pair('Deck');
  const client = await host.stream('Deck');
  await host.ctl('start', '--label', 'base', '--max-duration', String(seconds));
  await expect
    .poll(async () => ((await host.ctl('status')) as { state: string }).state, { timeout: 20_000 })
    .toBe('idle');
  client.kill();
  const [entry] = ((await host.ctl('recordings', 'list')) as Schemas['RecordingList']).recordings;
  const answer = await fetch(`${host.url}/api/v1/stats/recordings/${entry?.id ?? ''}`, {
    headers: { authorization: `Bearer ${host.token}` },
  });
  return (await answer.json()) as Schemas['Capture'];
}

/** Puts a recording among the host's. The head of the file is what a list reads. */
export function place(host: Host, capture: Schemas['Capture']): void {
  const { schema_version, meta, ...rest } = capture;
  const text = JSON.stringify({ schema_version, meta, ...rest });
  writeFileSync(join(host.captures, `${meta.id}.json`), text);
}

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
