// What stands where there is nothing to show: yet, at all, or for a reason.
import { CircleAlert, LoaderCircle } from 'lucide-react';
import type { ReactNode } from 'react';

import { ApiFailure } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { Button } from './controls';

export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="flex items-center justify-center gap-2 p-8 text-muted">
      <LoaderCircle aria-hidden className="size-4 animate-spin" />
      {m.loading({ what })}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      <p className="font-medium">{title}</p>
      {children !== undefined && <div className="max-w-prose text-muted">{children}</div>}
    </div>
  );
}

/** Says what an error means to a person; the API's own words where it answered. */
export function explain(error: unknown): string {
  if (error instanceof ApiFailure) {
    if (error.status === 0) return m.error_unreachable();
    if (error.status === 404) return m.error_gone();
    if (error.status === 412) return m.error_changed();
    return error.message;
  }
  return String(error);
}

export function Failure({ error, again }: { error: unknown; again?: () => void }) {
  return (
    <div role="alert" className="flex flex-col items-center gap-3 px-4 py-10 text-center">
      <CircleAlert aria-hidden className="size-6 text-bad" />
      <p className="max-w-prose break-words">{explain(error)}</p>
      {again !== undefined && <Button onClick={again}>{m.try_again()}</Button>}
    </div>
  );
}

/** A remark above the content. */
export function Notice({
  tone,
  children,
}: {
  tone: 'warn' | 'bad' | 'good' | 'neutral';
  children: ReactNode;
}) {
  const look = {
    warn: 'bg-warn-soft text-warn',
    bad: 'bg-bad-soft text-bad',
    good: 'bg-good-soft text-good',
    neutral: 'bg-raised text-text',
  }[tone];
  return (
    <div role={tone === 'bad' ? 'alert' : 'status'} className={`rounded-lg px-3 py-2 ${look}`}>
      {children}
    </div>
  );
}
