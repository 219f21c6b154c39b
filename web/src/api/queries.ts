// What pages ask of the API, each under one key.
import { queryOptions } from '@tanstack/react-query';

import { api, body } from './client';

/** A recording without its distributions: a tenth of its size, and all that graphs need. */
export const recordingQuery = (id: string) =>
  queryOptions({
    queryKey: ['recording', id],
    queryFn: () =>
      body(
        api.GET('/api/v1/stats/recordings/{id}', {
          params: { path: { id }, query: { distributions: false } },
        }),
      ),
    staleTime: 60_000,
  });

/** The same with them. */
export const distributionsQuery = (id: string) =>
  queryOptions({
    queryKey: ['recording', id, 'distributions'],
    queryFn: () => body(api.GET('/api/v1/stats/recordings/{id}', { params: { path: { id } } })),
    staleTime: 60_000,
    gcTime: 30_000,
  });

export const summaryQuery = (id: string, from: number, to: number) =>
  queryOptions({
    queryKey: ['recording', id, 'summary', from, to],
    queryFn: () =>
      body(
        api.GET('/api/v1/stats/recordings/{id}/summary', {
          params: { path: { id }, query: { from_ms: from, to_ms: to } },
        }),
      ),
    placeholderData: (before) => before,
  });
