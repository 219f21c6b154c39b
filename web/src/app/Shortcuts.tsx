// Keys: `?` lists them, `M` marks the moment while a capture runs, `G` and a letter goes to a page.
import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Keyboard } from 'lucide-react';
import { useEffect, useEffectEvent, useState } from 'react';

import { api, body } from '@/api/client';
import { useLive } from '@/api/live';
import { m } from '@/paraglide/messages.js';
import { Button } from '@/ui/controls';
import { Dialog, useSay } from '@/ui/dialog';
import { explain } from '@/ui/states';

/** Sets a marker at this moment. */
export function useMark() {
  const say = useSay();
  return useMutation({
    mutationFn: () => body(api.POST('/api/v1/stats/capture/markers', { body: {} })),
    onSuccess: () => say(m.marked()),
    onError: (error) => say(explain(error), 'bad'),
  });
}

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    target.closest('input:not([type=checkbox]), textarea, select, [role=dialog], [role=menu]') !==
      null);

/** Where `G` and a letter goes. */
const PAGES: Record<string, '/' | '/recordings' | '/clients'> = {
  p: '/',
  r: '/recordings',
  c: '/clients',
};

export function Shortcuts() {
  const [listed, setListed] = useState(false);
  const [going, setGoing] = useState(false);
  const navigate = useNavigate();
  const live = useLive();
  const mark = useMark();

  const pressed = useEffectEvent((event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target)) {
      return;
    }
    const key = event.key.toLowerCase();
    if (going) {
      setGoing(false);
      const to = PAGES[key];
      if (to !== undefined) {
        void navigate({ to });
        return;
      }
    }
    if (key === '?') setListed(true);
    if (key === 'g') setGoing(true);
    if (key === 'm' && live.status?.armed === true) mark.mutate();
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => pressed(event);
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);

  const keys: readonly (readonly [string, string])[] = [
    ['?', m.shortcut_list()],
    ['M', m.shortcut_mark()],
    ['G P', m.nav_performance()],
    ['G R', m.nav_recordings()],
    ['G C', m.nav_clients()],
    ['← →', m.shortcut_cursor()],
    ['+ −', m.shortcut_zoom()],
    ['Esc', m.shortcut_zoom_out()],
  ];
  return (
    <>
      <Button
        look="quiet"
        aria-label={m.shortcuts()}
        className="px-2 max-md:hidden"
        onClick={() => setListed(true)}
      >
        <Keyboard aria-hidden className="size-5" />
      </Button>
      <Dialog open={listed} onClose={() => setListed(false)} title={m.shortcuts()}>
        <dl className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-2">
          {keys.map(([key, what]) => (
            <div key={key} className="contents">
              <dt>
                <kbd className="rounded-md border border-line bg-raised px-2 py-0.5 text-sm">
                  {key}
                </kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </Dialog>
    </>
  );
}
