// What the capture service does at this moment, in a word.
import { useEffect, useState } from 'react';

import { useLive, type Live } from '@/api/live';
import { m } from '@/paraglide/messages.js';
import { Badge } from '@/ui/controls';
import { clock } from '@/units';

/** The time since the start as it passes; the host's own figure, carried on. */
export function useElapsed({ status, statusAt }: Live): number | undefined {
  const base = status?.armed === true ? status.elapsed_ms : undefined;
  const [now, setNow] = useState(() => performance.now());
  const runs = base !== undefined && base !== null;
  useEffect(() => {
    if (!runs) return undefined;
    const timer = setInterval(() => setNow(performance.now()), 250);
    return () => clearInterval(timer);
  }, [runs]);
  return runs ? base + Math.max(0, now - statusAt) : undefined;
}

export function CaptureBadge() {
  const live = useLive();
  const elapsed = useElapsed(live);
  switch (live.status?.state) {
    case undefined:
      return <Badge>{m.state_unknown()}</Badge>;
    case 'armed':
      return (
        <Badge tone="bad">
          <span
            aria-hidden
            className="pulse size-2 rounded-full bg-record forced-color-adjust-none"
          />
          {m.state_recording()}
          <span>{clock(elapsed)}</span>
        </Badge>
      );
    case 'scheduled':
      return <Badge tone="warn">{m.state_scheduled()}</Badge>;
    case 'saving':
      return <Badge tone="accent">{m.state_saving()}</Badge>;
    case 'unsaved':
      return <Badge tone="bad">{m.state_unsaved()}</Badge>;
    case 'idle':
      return <Badge>{m.state_idle()}</Badge>;
  }
}
