// The running capture as this page sees it: the event stream, or polling while there is none. One for the whole page.
import { useSyncExternalStore } from 'react';

import { ApiFailure, api, body, type Schemas } from './client';

/** `open`: the stream brings events. `polling`: it does not, but the host answers. `lost`: it does not answer. */
export type Connection = 'connecting' | 'open' | 'polling' | 'lost';

export interface Live {
  connection: Connection;
  status: Schemas['StatsStatus'] | null;
  /** When the status came, by `performance.now()`. */
  statusAt: number;
  /** In order of their end, bounded. */
  samples: readonly Schemas['StatsSample'][];
  markers: readonly Schemas['Marker'][];
}

/** Windows kept of each session: what a live graph shows, and no more however long a capture runs. */
const KEPT_WINDOWS = 600;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
const POLL_MS = 1000;
/** Events that come together are shown together. */
const FLUSH_MS = 40;

const NOTHING: Live = {
  connection: 'connecting',
  status: null,
  statusAt: 0,
  samples: [],
  markers: [],
};

let shown: Live = NOTHING;
let coming: Live = NOTHING;
const watchers = new Set<() => void>();
let flush: ReturnType<typeof setTimeout> | undefined;
let source: EventSource | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;
let poll: ReturnType<typeof setInterval> | undefined;
let wait = FIRST_RETRY_MS;

function set(part: Partial<Live>): void {
  coming = { ...coming, ...part };
  flush ??= setTimeout(() => {
    flush = undefined;
    shown = coming;
    watchers.forEach((watcher) => watcher());
  }, FLUSH_MS);
}

function bounded(samples: Schemas['StatsSample'][]): Schemas['StatsSample'][] {
  const sessions = Math.max(1, coming.status?.session_count ?? 1);
  const limit = KEPT_WINDOWS * sessions;
  // A tenth of slack, so that the array is not made anew for each sample.
  return samples.length > limit * 1.1 ? samples.slice(-limit) : samples;
}

function takeStatus(status: Schemas['StatsStatus']): void {
  const another = status.id !== coming.status?.id && status.state !== 'saving';
  if (another && status.armed) set({ samples: [], markers: [] });
  set({ status, statusAt: performance.now() });
}

function open(): void {
  source?.close();
  const stream = new EventSource('/api/v1/stats/capture/stream');
  source = stream;
  // A new stream begins with all that the running capture holds.
  let fresh = true;
  // The document names the type of each event.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
  const on = <T>(name: string, take: (data: T) => void) => {
    stream.addEventListener(name, (event: MessageEvent<string>) => {
      if (fresh) {
        fresh = false;
        set({ connection: 'open', samples: [], markers: [] });
      }
      take(JSON.parse(event.data) as T);
    });
  };
  on<Schemas['StatsStatus']>('status', takeStatus);
  on<Schemas['StatsSample']>('sample', (sample) =>
    set({ samples: bounded([...coming.samples, sample]) }),
  );
  on<Schemas['Marker']>('marker', (marker) =>
    set({ markers: [...coming.markers, marker].slice(-1000) }),
  );
  stream.addEventListener('open', () => {
    wait = FIRST_RETRY_MS;
    clearInterval(poll);
    poll = undefined;
  });
  stream.addEventListener('error', () => {
    // Not left to the browser, which gives up on an answer that is no stream.
    stream.close();
    poll ??= setInterval(() => void ask(), POLL_MS);
    void ask();
    clearTimeout(retry);
    retry = setTimeout(open, wait);
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  });
}

async function ask(): Promise<void> {
  const asked = source;
  try {
    const live = await body(api.GET('/api/v1/stats/capture/live'));
    if (asked !== source || poll === undefined) return;
    takeStatus(live.status);
    set({ connection: 'polling', samples: live.samples, markers: live.markers });
  } catch (error) {
    if (error instanceof ApiFailure && poll !== undefined) set({ connection: 'lost' });
  }
}

/** Begins to follow the host; until the page goes. */
export function follow(): () => void {
  open();
  const hurry = () => {
    if (source?.readyState === EventSource.CLOSED) {
      clearTimeout(retry);
      wait = FIRST_RETRY_MS;
      open();
    }
  };
  addEventListener('online', hurry);
  return () => {
    removeEventListener('online', hurry);
    source?.close();
    clearTimeout(retry);
    clearInterval(poll);
    poll = undefined;
    coming = NOTHING;
    shown = NOTHING;
  };
}

/** Tries the stream now instead of waiting. */
export function reconnect(): void {
  clearTimeout(retry);
  wait = FIRST_RETRY_MS;
  open();
}

/** Takes the answer to a change of this page at once, before the stream says it. */
export function learn(status: Schemas['StatsStatus']): void {
  takeStatus(status);
}

export function useLive(): Live {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => shown,
  );
}
