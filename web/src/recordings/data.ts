// The list of recordings, and what may be done to one.
import { queryOptions, useMutation, useQueryClient } from '@tanstack/react-query';

import { api, body, type Schemas } from '@/api/client';
import { short } from '@/capture/verdict';

export type Entry = Schemas['RecordingEntry'];

const PAGE = 1000;

/** All of them: sorting and searching want the whole list, which is small without samples. */
export const recordingsQuery = queryOptions({
  queryKey: ['recordings'],
  queryFn: async () => {
    const recordings: Entry[] = [];
    const evicted = new Set<string>();
    let cursor: string | undefined;
    do {
      const query = cursor === undefined ? { limit: PAGE } : { limit: PAGE, cursor };
      const page = await body(api.GET('/api/v1/stats/recordings', { params: { query } }));
      recordings.push(...page.recordings);
      page.next_evicted.forEach((id) => evicted.add(id));
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
    return { recordings, evicted };
  },
});

export const baselineQuery = queryOptions({
  queryKey: ['baseline'],
  queryFn: () => body(api.GET('/api/v1/stats/baseline')),
});

/** `If-Match` with a revision: nobody's change is lost. */
const match = (revision: string | null | undefined) =>
  revision == null ? {} : { header: { 'If-Match': `"${revision}"` } };

export function useUpdate() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: {
      id: string;
      revision: string | null | undefined;
      patch: Schemas['RecordingPatch'];
    }) =>
      body(
        api.PATCH('/api/v1/stats/recordings/{id}', {
          params: { path: { id: change.id }, ...match(change.revision) },
          body: change.patch,
        }),
      ),
    onSettled: (_, __, { id }) =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['recordings'] }),
        queries.invalidateQueries({ queryKey: ['recording', id], exact: true }),
      ]),
  });
}

export function useDelete() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (entries: readonly { id: string; revision: string | null | undefined }[]) => {
      for (const { id, revision } of entries) {
        await api.DELETE('/api/v1/stats/recordings/{id}', {
          params: { path: { id }, ...match(revision) },
        });
      }
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['recordings'] }),
  });
}

export function useBaseline() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (id: string | null) => {
      if (id === null) await api.DELETE('/api/v1/stats/baseline');
      else await api.PUT('/api/v1/stats/baseline', { body: { id } });
    },
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['baseline'] }),
        queries.invalidateQueries({ queryKey: ['check'] }),
      ]),
  });
}

/** Takes a file in as it stands: the host judges it. */
export function useImport() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (file: File) => {
      const text = await file.text();
      return body(
        api.POST('/api/v1/stats/recordings', {
          body: text as unknown as Schemas['Capture'],
          bodySerializer: (raw) => raw as unknown as string,
          headers: { 'content-type': 'application/json' },
        }),
      );
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['recordings'] }),
  });
}

export type SortKey = 'time' | 'label' | 'duration' | 'samples' | 'late';

/** Sort key, and whether it descends: `-time`. */
export function parseSort(text: string | undefined): { key: SortKey; descends: boolean } {
  const key = text?.replace('-', '');
  const known: readonly string[] = ['time', 'label', 'duration', 'samples', 'late'];
  if (key === undefined || !known.includes(key)) return { key: 'time', descends: true };
  return { key: key as SortKey, descends: text?.startsWith('-') === true };
}

/** What is searched: all that a row shows in words. */
const words = (entry: Entry) =>
  [
    entry.name,
    entry.meta?.label,
    entry.meta?.note,
    entry.meta?.client,
    entry.meta?.codec,
    entry.meta?.verdict?.text,
    entry.meta?.verdict && short(entry.meta.verdict),
  ]
    .join(' ')
    .toLowerCase();

export function arrange(
  entries: readonly Entry[],
  search: { q?: string | undefined; kind?: string | undefined; sort?: string | undefined },
): Entry[] {
  const wanted = (search.q ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const found = entries.filter((entry) => {
    if (
      search.kind === 'unreadable'
        ? entry.meta != null
        : search.kind && entry.meta?.kind !== search.kind
    ) {
      return false;
    }
    const text = words(entry);
    return wanted.every((word) => text.includes(word));
  });
  const { key, descends } = parseSort(search.sort);
  if (key === 'time' && descends) return found;
  const value = ({ meta }: Entry): number | string | null => {
    if (meta == null) return null;
    switch (key) {
      case 'time':
        return meta.started_unix_ms;
      case 'label':
        return meta.label ?? '';
      case 'duration':
        return meta.duration_ms;
      case 'samples':
        return meta.sample_count;
      case 'late':
        return meta.late_share ?? null;
    }
  };
  const sign = descends ? -1 : 1;
  return found.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    // What has no figure comes last either way.
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    if (typeof x === 'string' || typeof y === 'string') {
      return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
    }
    return sign * (x - y);
  });
}
