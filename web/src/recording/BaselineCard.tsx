// A recording against the pinned baseline: what the host's own check says.
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { api, body, type Schemas } from '@/api/client';
import { sentence, warnings } from '@/compare/words';
import { m } from '@/paraglide/messages.js';
import { baselineQuery } from '@/recordings/data';
import { Badge, type Tone } from '@/ui/controls';

const LOOK: Record<Schemas['CheckOutcome'], readonly [Tone, () => string]> = {
  pass: ['good', m.check_pass],
  fail: ['bad', m.check_fail],
  not_comparable: ['warn', m.check_not_comparable],
  not_enough_data: ['neutral', m.verdict_not_enough_data],
};

export function BaselineCard({ id }: { id: string }) {
  const baseline = useQuery(baselineQuery);
  const against = baseline.data?.id ?? undefined;
  const check = useQuery({
    queryKey: ['check', id, against],
    queryFn: () =>
      body(api.GET('/api/v1/stats/recordings/{id}/check', { params: { path: { id } } })),
    enabled: against !== undefined && against !== id,
  });
  if (check.data === undefined || against === undefined) return null;
  const [tone, text] = LOOK[check.data.outcome];
  const { comparison } = check.data;
  return (
    <section
      className="card flex flex-wrap items-center gap-x-3 gap-y-2 p-4"
      aria-label={m.against_baseline()}
    >
      <h2>{m.against_baseline()}</h2>
      <Badge tone={tone}>{text()}</Badge>
      <p className="min-w-0 flex-1 basis-60 break-words">
        {[...warnings(comparison), ...comparison.differences.map(sentence)].join(' ')}
      </p>
      <Link
        to="/compare"
        search={{ ids: `${against},${id}` }}
        className="text-accent-text underline"
      >
        {m.compare()}
      </Link>
    </section>
  );
}
