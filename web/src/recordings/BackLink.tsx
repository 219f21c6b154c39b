// From a page about recordings back to their list.
import { Link } from '@tanstack/react-router';
import { ArrowLeft } from 'lucide-react';

import { m } from '@/paraglide/messages.js';

export function BackLink() {
  return (
    <Link
      to="/recordings"
      // Below it is not it: nothing says that this is the page that is shown.
      activeOptions={{ exact: true }}
      className="inline-flex items-center gap-1 text-sm text-muted hover:text-text"
    >
      <ArrowLeft aria-hidden className="size-4" />
      {m.nav_recordings()}
    </Link>
  );
}
