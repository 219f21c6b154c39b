// Start and stop. What is typed here stays when the host goes and comes back.
import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Circle, Flag, Save, Square } from 'lucide-react';
import { useState } from 'react';

import { api, body } from '@/api/client';
import { learn, useLive } from '@/api/live';
import { useMark } from '@/app/Shortcuts';
import { m } from '@/paraglide/messages.js';
import { Button, Field, Stat } from '@/ui/controls';
import { useSay } from '@/ui/dialog';
import { Notice, explain } from '@/ui/states';
import { clock, count } from '@/units';
import { CaptureBadge, useElapsed } from './CaptureBadge';

export function ControlCard() {
  const live = useLive();
  const elapsed = useElapsed(live);
  const { status } = live;
  const say = useSay();
  const navigate = useNavigate();
  const mark = useMark();
  const [label, setLabel] = useState('');
  const [minutes, setMinutes] = useState('');
  const [withSession, setWithSession] = useState(false);

  const limit = minutes === '' ? null : Math.round(Number(minutes) * 60);
  const start = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/stats/capture/start', {
          body: {
            label: label === '' ? null : label,
            max_duration_s: limit,
            stop_with_session: withSession,
          },
        }),
      ),
    onSuccess: learn,
    onError: (error) => say(explain(error), 'bad'),
  });
  const stop = useMutation({
    mutationFn: async () => (await api.POST('/api/v1/stats/capture/stop')).data,
    onSuccess: (meta) => {
      if (meta) void navigate({ to: '/recordings/$id', params: { id: meta.id } });
    },
    onError: (error) => say(explain(error), 'bad'),
  });

  const state = status?.state;
  const runs = state === 'armed' || state === 'scheduled';
  const reachable = live.connection === 'open' || live.connection === 'polling';
  return (
    <section className="card flex flex-col gap-4 p-4 md:p-5" aria-label={m.capture()}>
      <div className="flex flex-wrap items-center gap-3">
        <h2 className="mr-1">{m.capture()}</h2>
        <CaptureBadge />
        {runs && (status?.label ?? '') !== '' && (
          <bdi className="min-w-0 truncate text-muted">{status?.label}</bdi>
        )}
        <div className="ml-auto flex flex-wrap gap-2">
          {state === 'armed' && (
            <Button onClick={() => mark.mutate()} disabled={mark.isPending} title="M">
              <Flag aria-hidden className="size-4" />
              {m.mark()}
            </Button>
          )}
          {(runs || state === 'saving') && (
            <Button
              look="record"
              onClick={() => stop.mutate()}
              disabled={!reachable || stop.isPending || state === 'saving'}
            >
              <Square aria-hidden className="size-3.5 fill-current" />
              {m.stop()}
            </Button>
          )}
          {state === 'unsaved' && (
            <Button look="primary" onClick={() => stop.mutate()} disabled={stop.isPending}>
              <Save aria-hidden className="size-4" />
              {m.save_again()}
            </Button>
          )}
        </div>
      </div>
      {state === 'unsaved' && (
        <Notice tone="bad">{m.unsaved_because({ reason: status?.unsaved_reason ?? '' })}</Notice>
      )}
      {runs || state === 'saving' ? (
        <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
          <Stat label={m.elapsed()} value={clock(elapsed)} />
          <Stat label={m.samples()} value={count(status?.sample_count)} />
          <Stat label={m.sessions_measured()} value={count(status?.session_count)} />
          <Stat
            label={m.stops()}
            value={
              status?.max_duration_s != null
                ? m.stops_at({ time: clock(status.max_duration_s * 1000) })
                : status?.stop_with_session
                  ? m.stops_with_session()
                  : m.stops_by_hand()
            }
          />
        </dl>
      ) : (
        <form
          className="grid items-end gap-3 sm:grid-cols-2 lg:grid-cols-[1fr_9rem_auto_auto]"
          onSubmit={(event) => {
            event.preventDefault();
            start.mutate();
          }}
        >
          <Field label={m.label()}>
            <input
              className="field"
              value={label}
              maxLength={200}
              placeholder={m.label_example()}
              onChange={(event) => setLabel(event.target.value)}
            />
          </Field>
          <Field label={m.limit_minutes()}>
            <input
              className="field"
              type="number"
              inputMode="decimal"
              min="0.1"
              max="180"
              step="any"
              value={minutes}
              placeholder={m.none()}
              onChange={(event) => setMinutes(event.target.value)}
            />
          </Field>
          <label className="flex min-h-9 items-center gap-2">
            <input
              type="checkbox"
              className="size-4 accent-(--accent-fill)"
              checked={withSession}
              onChange={(event) => setWithSession(event.target.checked)}
            />
            {m.stop_with_session()}
          </label>
          <Button
            type="submit"
            look="record"
            className="px-5"
            disabled={!reachable || start.isPending || state === 'unsaved'}
          >
            <Circle aria-hidden className="size-3.5 fill-current" />
            {m.start()}
          </Button>
        </form>
      )}
      {(status?.records_lost ?? 0) > 0 && (
        <Notice tone="warn">{m.records_lost({ count: count(status?.records_lost) })}</Notice>
      )}
    </section>
  );
}
