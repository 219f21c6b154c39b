// A box that scrolls by itself: a wide table on a phone. Keys must reach it, so it takes the focus.
import type { ReactNode } from 'react';

export function ScrollBox({
  label,
  className = 'overflow-x-auto',
  children,
}: {
  label: string;
  className?: string;
  children: ReactNode;
}) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div tabIndex={0} role="region" aria-label={label} className={className}>
      {children}
    </div>
  );
}
