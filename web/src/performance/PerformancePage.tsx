// The start page: the capture's control, and the run as it goes.
import { getRouteApi, Link } from '@tanstack/react-router';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';

import { api, body } from '@/api/client';
import { useLive } from '@/api/live';
import { useLocale } from '@/app/preferences';
import { RunGraphs } from '@/capture/RunGraphs';
import { worded } from '@/markers';
import { m } from '@/paraglide/messages.js';
import { Field } from '@/ui/controls';
import { Empty } from '@/ui/states';
import { fps, size } from '@/units';
import { ControlCard } from './ControlCard';

const route = getRouteApi('/');

/** The sessions that stream now. */
export const useSessions = () =>
  useQuery({
    queryKey: ['sessions'],
    queryFn: () => body(api.GET('/api/v1/sessions')),
    refetchInterval: 2000,
  });

export function PerformancePage() {
  const { session, stat = 'p50' } = route.useSearch();
  const navigate = route.useNavigate();
  const { status, samples, markers } = useLive();
  const sessions = useSessions();
  const locale = useLocale();
  const told = useMemo(
    () => worded(markers, sessions.data ?? [], locale),
    [markers, sessions.data, locale],
  );

  const ids = useMemo(
    () => [
      ...new Set([
        ...samples.map((sample) => sample.session_id),
        ...(sessions.data ?? []).map(({ id }) => id),
      ]),
    ],
    [samples, sessions.data],
  );
  const chosen = session !== undefined && ids.includes(session) ? session : ids[0];
  const own = useMemo(
    () => samples.filter((sample) => sample.session_id === chosen),
    [samples, chosen],
  );
  const info = sessions.data?.find(({ id }) => id === chosen);
  const runs = status?.armed === true;

  return (
    <div className="flex flex-col gap-4">
      <h1 className="sr-only">{m.nav_performance()}</h1>
      <ControlCard />
      {ids.length === 0 ? (
        <section className="card">
          <Empty title={m.no_session()}>
            <p>{m.no_session_how()}</p>
            <p className="mt-3">
              <Link to="/clients" className="text-accent-text underline">
                {m.nav_clients()}
              </Link>
            </p>
          </Empty>
        </section>
      ) : (
        <div className="flex flex-wrap items-end gap-x-6 gap-y-3">
          <Field label={m.session()}>
            <select
              className="field max-w-72"
              value={chosen}
              onChange={(event) =>
                void navigate({
                  search: (now) => ({ ...now, session: event.target.value }),
                  replace: true,
                })
              }
            >
              {ids.map((id) => (
                <option key={id} value={id}>
                  {[id, sessions.data?.find((one) => one.id === id)?.client]
                    .filter(Boolean)
                    .join(' · ')
                    .slice(0, 80)}
                </option>
              ))}
            </select>
          </Field>
          {info ? (
            <p className="text-muted">
              {[
                size(info.width, info.height),
                fps(info.fps),
                info.codec,
                info.encoder,
                info.protocol,
              ].join(' · ')}
            </p>
          ) : (
            <p className="text-muted">{m.session_gone()}</p>
          )}
        </div>
      )}
      {ids.length > 0 &&
        (own.length === 0 ? (
          <section className="card">
            <Empty title={runs ? m.first_sample_soon() : m.not_armed()}>
              {runs ? m.first_sample_soon_why() : m.not_armed_how()}
            </Empty>
          </section>
        ) : (
          <RunGraphs
            // Names are written into graphs: in another language they are drawn anew.
            key={locale}
            samples={own}
            budgetUs={info?.latency_target_us}
            markers={told}
            statistic={stat}
            onStatistic={(next) =>
              void navigate({ search: (now) => ({ ...now, stat: next }), replace: true })
            }
            sync="live"
            isLive
          />
        ))}
    </div>
  );
}
