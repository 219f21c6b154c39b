// All recordings: found, sorted, chosen, taken in.
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { GitCompareArrows, Search, Trash2, Upload } from 'lucide-react';
import { useDeferredValue, useMemo, useRef, useState } from 'react';

import { STAY } from '@/app/span';
import { m } from '@/paraglide/messages.js';
import { Button } from '@/ui/controls';
import { useSay } from '@/ui/dialog';
import { Empty, Failure, Loading, explain } from '@/ui/states';
import { count } from '@/units';
import { arrange, baselineQuery, recordingsQuery, useImport } from './data';
import { DeleteDialog, type Doomed } from './RecordingActions';
import { RecordingTable } from './RecordingTable';

const route = getRouteApi('/recordings');

export function RecordingsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const list = useQuery(recordingsQuery);
  const baseline = useQuery(baselineQuery);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [deleting, setDeleting] = useState(false);
  const q = useDeferredValue(search.q);
  const entries = useMemo(
    () => arrange(list.data?.recordings ?? [], { q, kind: search.kind, sort: search.sort }),
    [list.data, q, search.kind, search.sort],
  );
  const doomed: Doomed[] = (list.data?.recordings ?? []).flatMap((entry) =>
    entry.id != null && chosen.has(entry.id)
      ? [{ id: entry.id, revision: entry.revision, meta: entry.meta }]
      : [],
  );
  const change = (part: { q?: string; kind?: string; sort?: string }) =>
    void navigate({
      search: (now) => {
        const next = { ...now, ...part };
        return Object.fromEntries(Object.entries(next).filter(([, value]) => value !== ''));
      },
      ...STAY,
    });

  return (
    <div className="flex flex-col gap-4">
      <div className="flex flex-wrap items-center gap-3">
        <h1>{m.nav_recordings()}</h1>
        {list.data && <span className="text-muted">{count(list.data.recordings.length)}</span>}
        <div className="ml-auto">
          <ImportButton />
        </div>
      </div>
      <div className="flex flex-wrap items-center gap-2">
        <div className="relative min-w-48 flex-1 sm:max-w-sm">
          <Search aria-hidden className="absolute top-2.5 left-3 size-4 text-muted" />
          <input
            type="search"
            aria-label={m.search()}
            placeholder={m.search_what()}
            className="field w-full pl-9"
            value={search.q ?? ''}
            onChange={(event) => change({ q: event.target.value })}
          />
        </div>
        <select
          aria-label={m.kind()}
          className="field"
          value={search.kind ?? ''}
          onChange={(event) => change({ kind: event.target.value })}
        >
          <option value="">{m.all_kinds()}</option>
          <option value="native">native</option>
          <option value="gamestream">GameStream</option>
          <option value="mixed">{m.mixed()}</option>
          <option value="unreadable">{m.unreadable()}</option>
        </select>
        {chosen.size > 0 && (
          <div
            className="flex flex-wrap items-center gap-2"
            role="group"
            aria-label={m.selection()}
          >
            <span className="px-1 text-muted">{m.selected({ count: count(chosen.size) })}</span>
            <Button
              disabled={doomed.filter(({ meta }) => meta).length < 2 || chosen.size > 4}
              title={m.compare_how_many()}
              onClick={() =>
                void navigate({
                  to: '/compare',
                  search: {
                    ids: doomed
                      .map(({ id }) => id)
                      .reverse()
                      .join(','),
                  },
                })
              }
            >
              <GitCompareArrows aria-hidden className="size-4" />
              {m.compare()}
            </Button>
            <Button onClick={() => setDeleting(true)} className="text-bad">
              <Trash2 aria-hidden className="size-4" />
              {m.delete_()}
            </Button>
            <Button look="quiet" onClick={() => setChosen(new Set())}>
              {m.select_none()}
            </Button>
          </div>
        )}
      </div>
      {list.isPending ? (
        <Loading what={m.nav_recordings()} />
      ) : list.isError ? (
        <Failure error={list.error} again={() => void list.refetch()} />
      ) : list.data.recordings.length === 0 ? (
        <section className="card">
          <Empty title={m.no_recordings()}>{m.no_recordings_how()}</Empty>
        </section>
      ) : entries.length === 0 ? (
        <section className="card">
          <Empty title={m.nothing_found()} />
        </section>
      ) : (
        <RecordingTable
          entries={entries}
          sort={search.sort}
          onSort={(sort) => change({ sort })}
          chosen={chosen}
          onChoose={setChosen}
          evicted={list.data.evicted}
          baseline={baseline.data?.id ?? undefined}
        />
      )}
      <DeleteDialog
        open={deleting}
        entries={doomed}
        onClose={() => setDeleting(false)}
        onDone={() => setChosen(new Set())}
      />
    </div>
  );
}

function ImportButton() {
  const input = useRef<HTMLInputElement>(null);
  const take = useImport();
  const say = useSay();
  const navigate = route.useNavigate();
  return (
    <>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        className="hidden"
        aria-label={m.import_file()}
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = '';
          if (!file) return;
          take.mutate(file, {
            onSuccess: (meta) => {
              say(m.imported());
              void navigate({ to: '/recordings/$id', params: { id: meta.id } });
            },
            onError: (error) => say(m.not_imported({ why: explain(error) }), 'bad'),
          });
        }}
      />
      <Button onClick={() => input.current?.click()} disabled={take.isPending}>
        <Upload aria-hidden className="size-4" />
        {m.import_()}
      </Button>
    </>
  );
}
