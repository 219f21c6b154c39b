// Where the figures come from, and what host and sessions were set to.
import type { ReactNode } from 'react';

import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { Badge } from '@/ui/controls';
import { ABSENT, clock, count, fps, moment, ms, size } from '@/units';

function Rows({ rows }: { rows: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="mt-3 grid grid-cols-[minmax(7rem,auto)_1fr] gap-x-4 gap-y-1.5">
      {rows.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="min-w-0 break-words">{value ?? ABSENT}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Provenance({ provenance }: { provenance: Schemas['Provenance'] }) {
  const { backend, counts = [] } = provenance;
  const counted = counts.reduce((sum, { samples }) => sum + samples, 0);
  return (
    <section className="card min-w-0 p-4">
      <div className="flex flex-wrap items-center gap-2">
        <h2>{m.provenance()}</h2>
        <Badge tone={provenance.source === 'prometheus' ? 'accent' : 'neutral'}>
          {provenance.source === 'prometheus' ? 'Prometheus' : m.source_local()}
        </Badge>
        {provenance.verified === true && <Badge tone="good">{m.counts_agree()}</Badge>}
        {provenance.verified === false && <Badge tone="bad">{m.counts_differ()}</Badge>}
      </div>
      <p className="mt-3 text-muted">
        {provenance.verified == null
          ? m.counts_not_compared()
          : m.counts_compared({ count: count(counted) })}
      </p>
      {backend && (
        <>
          <p className="mt-2" lang="en">
            {backend.reason}
          </p>
          <Rows
            rows={[
              [m.backend(), backend.server],
              [m.compared_counts(), count(backend.compared)],
              [m.differing_counts(), count(backend.differing)],
            ]}
          />
          {backend.differences.length > 0 && (
            <ul className="mt-2 max-h-48 overflow-y-auto text-sm">
              {backend.differences.map((one, at) => (
                <li key={at} className="break-words">
                  {one.session_id} · {one.series}: {one.local} ≠ {one.backend ?? ABSENT}
                </li>
              ))}
            </ul>
          )}
          <details className="mt-2">
            <summary className="w-fit text-muted">
              {m.queries({ count: count(backend.queries.length) })}
            </summary>
            <ul className="mt-2 max-h-64 overflow-auto text-sm">
              {backend.queries.map((query, at) => (
                <li key={at} className="mb-1 break-all">
                  <code>{query}</code>
                </li>
              ))}
            </ul>
          </details>
        </>
      )}
      {provenance.imported && (
        <p className="mt-2">
          {m.imported_at({ time: moment(provenance.imported.at_unix_ms) })}{' '}
          <code className="break-all">{provenance.imported.id}</code>
        </p>
      )}
    </section>
  );
}

export function Configuration({
  meta,
  session,
}: {
  meta: Schemas['CaptureMeta'];
  session: Schemas['SessionMeta'] | undefined;
}) {
  const { host } = meta;
  return (
    <section className="card min-w-0 p-4">
      <h2>{m.configuration()}</h2>
      <div className="grid gap-x-8 md:grid-cols-2 xl:grid-cols-1 2xl:grid-cols-2">
        <Rows
          rows={[
            [m.started(), moment(meta.started_unix_ms)],
            [m.duration(), clock(meta.duration_ms)],
            [m.host_version(), host.version],
            [m.system(), host.os],
            [m.processor(), host.cpu],
            [m.processors(), count(host.cpus)],
            [m.id(), <code className="break-all">{meta.id}</code>],
          ]}
        />
        {session && (
          <Rows
            rows={[
              [m.session(), session.id],
              [m.client(), <bdi>{session.client}</bdi>],
              [m.path(), session.protocol],
              [m.picture(), `${size(session.width, session.height)} @ ${fps(session.fps)}`],
              [m.codec(), `${session.codec} (${session.encoder})`],
              [m.source(), session.source_kind],
              [m.sound(), session.audio === 'silent' ? m.sound_silent() : session.audio],
              [m.latency_target(), ms(session.latency_target_us)],
            ]}
          />
        )}
      </div>
    </section>
  );
}
