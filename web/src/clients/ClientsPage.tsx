// Who may stream, who asks to, and who does at this moment.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { api, body, type Schemas } from '@/api/client';
import { useLive } from '@/api/live';
import { m } from '@/paraglide/messages.js';
import { useSessions } from '@/performance/PerformancePage';
import { Badge, Button, Field } from '@/ui/controls';
import { Dialog, useSay } from '@/ui/dialog';
import { Empty, Failure, Loading, explain } from '@/ui/states';
import { ago, fps, mbps, moment, ms, size } from '@/units';
import { Sparkline } from './Sparkline';

export function ClientsPage() {
  return (
    <div className="flex flex-col gap-4">
      <h1>{m.nav_clients()}</h1>
      <Requests />
      <Sessions />
      <Paired />
    </div>
  );
}

function Requests() {
  const requests = useQuery({
    queryKey: ['pair'],
    queryFn: () => body(api.GET('/api/v1/pair')),
    refetchInterval: 2000,
  });
  return (
    <section className="card p-4" aria-label={m.pair_requests()}>
      <h2>{m.pair_requests()}</h2>
      {requests.isPending ? (
        <Loading what={m.pair_requests()} />
      ) : requests.isError ? (
        <Failure error={requests.error} again={() => void requests.refetch()} />
      ) : requests.data.length === 0 ? (
        <p className="mt-2 max-w-prose text-muted">{m.no_pair_requests()}</p>
      ) : (
        <ul className="mt-3 flex flex-col gap-3">
          {requests.data.map((request) => (
            <li key={request.id} className="rounded-lg bg-raised p-3">
              <Request request={request} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Request({ request }: { request: Schemas['PairRequestInfo'] }) {
  const [name, setName] = useState(request.name);
  const [pin, setPin] = useState('');
  // Moonlight makes the PIN; a native client may also be told one.
  const isPinTheirs = request.protocol === 'gamestream';
  const queries = useQueryClient();
  const say = useSay();
  const answer = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/pair', {
          body: { request: request.id, name, pin: pin === '' ? null : pin },
        }),
      ),
    onSuccess: ({ pin: shown }) => pin !== '' && say(m.pairing_goes_on({ pin: shown })),
    onError: (error) => say(explain(error), 'bad'),
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['pair'] }),
        queries.invalidateQueries({ queryKey: ['clients'] }),
      ]),
  });
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        answer.mutate();
      }}
    >
      <div>
        <bdi className="line-clamp-2 font-medium break-words">{request.name}</bdi>
        <p className="text-sm text-muted">
          {`${request.address} · ${request.protocol} · ${ago(Date.now() - request.age_s * 1000)}`}
        </p>
        <p className="mt-1 text-sm">
          {m.fingerprint()}: <code className="break-all">{request.fingerprint}</code>
        </p>
      </div>
      {answer.data ? (
        <p className="text-lg">
          {m.pin_to_type()} <strong className="tracking-widest">{answer.data.pin}</strong>
        </p>
      ) : (
        <div className="flex flex-wrap items-end gap-3">
          <Field label={m.client_name()}>
            <input
              className="field"
              value={name}
              maxLength={100}
              onChange={(event) => setName(event.target.value)}
            />
          </Field>
          <Field label={m.pin_of_client()}>
            <input
              className="field w-40"
              inputMode="numeric"
              autoComplete="off"
              value={pin}
              required={isPinTheirs}
              maxLength={16}
              placeholder={isPinTheirs ? undefined : m.pin_made_here()}
              onChange={(event) => setPin(event.target.value.trim())}
            />
          </Field>
          <Button type="submit" look="primary" disabled={answer.isPending}>
            {m.let_in()}
          </Button>
        </div>
      )}
    </form>
  );
}

function Sessions() {
  const sessions = useSessions();
  const { samples, status } = useLive();
  return (
    <section className="card p-4" aria-label={m.live_sessions()}>
      <h2>{m.live_sessions()}</h2>
      {sessions.isPending ? (
        <Loading what={m.live_sessions()} />
      ) : sessions.isError ? (
        <Failure error={sessions.error} again={() => void sessions.refetch()} />
      ) : sessions.data.length === 0 ? (
        <p className="mt-2 text-muted">{m.no_session()}.</p>
      ) : (
        <ul className="mt-3 grid gap-3 lg:grid-cols-2">
          {sessions.data.map((session) => (
            <li key={session.id} className="flex min-w-0 flex-col gap-2 rounded-lg bg-raised p-3">
              <div className="flex min-w-0 items-center gap-2">
                <Link
                  to="/"
                  search={{ session: session.id }}
                  className="min-w-0 truncate font-medium hover:underline"
                >
                  <bdi>{session.client.slice(0, 100) || session.id}</bdi>
                </Link>
                <Badge>{session.protocol}</Badge>
              </div>
              <p className="text-sm text-muted">
                {[
                  size(session.width, session.height),
                  fps(session.fps),
                  session.codec,
                  mbps(session.bitrate_kbps == null ? null : session.bitrate_kbps / 1000),
                  m.rtt_of({ time: ms(session.rtt_us) }),
                ].join(' · ')}
              </p>
              {status?.armed ? (
                <Sparkline
                  samples={samples.filter((sample) => sample.session_id === session.id).slice(-60)}
                />
              ) : (
                <p className="text-sm text-muted">{m.sparkline_when_armed()}</p>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Paired() {
  const clients = useQuery({
    queryKey: ['clients'],
    queryFn: () => body(api.GET('/api/v1/clients')),
    refetchInterval: 5000,
  });
  const [revoking, setRevoking] = useState<Schemas['PairedClientInfo']>();
  const queries = useQueryClient();
  const say = useSay();
  const revoke = useMutation({
    mutationFn: (id: string) => api.DELETE('/api/v1/clients/{id}', { params: { path: { id } } }),
    onError: (error) => say(explain(error), 'bad'),
    // The list first: the dialog gives the focus back to what is still there.
    onSettled: async (_, error) => {
      await queries.invalidateQueries({ queryKey: ['clients'] });
      if (error === null) setRevoking(undefined);
    },
  });
  return (
    <section className="card min-w-0 p-4" aria-label={m.paired_clients()}>
      <h2>{m.paired_clients()}</h2>
      {clients.isPending ? (
        <Loading what={m.paired_clients()} />
      ) : clients.isError ? (
        <Failure error={clients.error} again={() => void clients.refetch()} />
      ) : clients.data.length === 0 ? (
        <Empty title={m.no_clients()} />
      ) : (
        <ul className="mt-2">
          {clients.data.map((client) => (
            <li
              key={client.id}
              className="flex flex-wrap items-center gap-x-4 gap-y-1 border-t border-line py-2.5 first:border-t-0"
            >
              <div className="min-w-0 flex-1 basis-60">
                <bdi className="line-clamp-2 font-medium break-words">{client.name}</bdi>
                <p className="text-sm text-muted">
                  {client.last_seen_unix_ms == null
                    ? m.never_seen()
                    : m.last_seen({ time: ago(client.last_seen_unix_ms) })}
                  {' · '}
                  {m.paired_at({ time: moment(client.added_unix_ms) })}
                </p>
                <code className="block truncate text-sm text-muted" title={client.fingerprint}>
                  {client.fingerprint}
                </code>
              </div>
              {client.connected && <Badge tone="good">{m.connected()}</Badge>}
              <Button onClick={() => setRevoking(client)}>{m.revoke()}</Button>
            </li>
          ))}
        </ul>
      )}
      <Dialog
        open={revoking !== undefined}
        onClose={() => setRevoking(undefined)}
        title={m.revoke_title()}
        description={m.revoke_what()}
      >
        <p className="mb-4 rounded-lg bg-raised px-3 py-2 font-medium break-words">
          <bdi>{revoking?.name}</bdi>
        </p>
        <div className="flex justify-end gap-2">
          <Button onClick={() => setRevoking(undefined)}>{m.cancel()}</Button>
          <Button
            look="danger"
            disabled={revoke.isPending}
            onClick={() => revoking && revoke.mutate(revoking.id)}
          >
            {m.revoke()}
          </Button>
        </div>
      </Dialog>
    </section>
  );
}
