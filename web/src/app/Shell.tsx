// The frame around every page: navigation, the capture's state, and whether the host answers.
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet } from '@tanstack/react-router';
import { Activity, Library, MonitorSmartphone, Unplug } from 'lucide-react';
import { useEffect } from 'react';

import { reconnect, useLive } from '@/api/live';
import { m } from '@/paraglide/messages.js';
import { CaptureBadge } from '@/performance/CaptureBadge';
import { Button } from '@/ui/controls';
import { Settings } from './Settings';
import { Shortcuts } from './Shortcuts';

function useFollowRecordings() {
  const { status } = useLive();
  const queries = useQueryClient();
  const mark = `${status?.last_recording ?? ''} ${status?.state ?? ''} ${status?.snapshot?.id ?? ''}`;
  useEffect(() => {
    void queries.invalidateQueries({ queryKey: ['recordings'] });
  }, [mark, queries]);
}

export function Shell() {
  useFollowRecordings();
  const pages = [
    ['/', m.nav_performance(), Activity],
    ['/recordings', m.nav_recordings(), Library],
    ['/clients', m.nav_clients(), MonitorSmartphone],
  ] as const;
  return (
    <div className="flex min-h-dvh flex-col md:flex-row">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-surface focus:p-3"
      >
        {m.skip_to_content()}
      </a>
      <nav
        aria-label={m.navigation()}
        className="fixed inset-x-0 bottom-0 z-30 flex border-t border-line bg-surface md:sticky md:inset-auto md:top-0 md:h-dvh md:w-52 md:shrink-0 md:flex-col md:gap-1 md:border-t-0 md:border-r md:p-3"
      >
        <Link to="/" className="mb-4 hidden items-center gap-2.5 px-2 py-1 md:flex">
          <img src="/icon.svg" alt="" className="size-7" />
          <span className="font-semibold tracking-tight">Punktfunk</span>
        </Link>
        {pages.map(([to, name, Icon]) => (
          <Link
            key={to}
            to={to}
            activeOptions={{ exact: to === '/', includeSearch: false }}
            className="flex flex-1 flex-col items-center gap-0.5 py-2 text-xs text-muted hover:text-text aria-[current=page]:text-accent-text md:flex-none md:flex-row md:gap-2.5 md:rounded-lg md:px-3 md:text-base md:hover:bg-raised md:aria-[current=page]:bg-accent-soft md:aria-[current=page]:font-medium"
          >
            <Icon aria-hidden className="size-5 md:size-[1.125rem]" />
            {name}
          </Link>
        ))}
      </nav>
      <div className="flex min-w-0 flex-1 flex-col pb-16 md:pb-0">
        <header className="sticky top-0 z-20 flex h-14 items-center gap-3 border-b border-line bg-page/90 px-4 backdrop-blur md:px-6">
          <img src="/icon.svg" alt="" className="size-7 md:hidden" />
          <CaptureBadge />
          <div className="ml-auto flex items-center">
            <Shortcuts />
            <Settings />
          </div>
        </header>
        <ConnectionBanner />
        <main
          id="content"
          tabIndex={-1}
          className="mx-auto w-full max-w-[110rem] min-w-0 flex-1 p-4 outline-none md:p-6"
        >
          <Outlet />
        </main>
      </div>
    </div>
  );
}

function ConnectionBanner() {
  const { connection } = useLive();
  if (connection === 'open' || connection === 'connecting') return null;
  return (
    <div
      role="status"
      className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-line bg-warn-soft px-4 py-1.5 text-warn md:px-6"
    >
      <Unplug aria-hidden className="size-4" />
      {connection === 'lost' ? m.connection_lost() : m.connection_polling()}
      <Button look="quiet" className="ml-auto min-h-7 text-warn" onClick={reconnect}>
        {m.connection_retry()}
      </Button>
    </div>
  );
}
