// What markers say, in the language of the page.
import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import type { Locale } from '@/paraglide/runtime.js';
import { count } from '@/units';

type Session = Pick<Schemas['SessionMeta'], 'id' | 'client'>;

/** The same markers, worded; what an operator wrote stays as it is. */
export const worded = (
  markers: readonly Schemas['Marker'][],
  sessions: readonly Session[],
  locale: Locale,
): Schemas['Marker'][] =>
  markers.map((marker) => ({ ...marker, text: words(marker, sessions, locale) }));

function words(
  { kind, text, session_id: id }: Schemas['Marker'],
  sessions: readonly Session[],
  locale: Locale,
): string {
  const client = sessions.find((session) => session.id === id)?.client || (id ?? '');
  switch (kind) {
    case 'idr':
      return m.marker_idr({}, { locale });
    case 'bitrate':
      return m.marker_bitrate({ change: text }, { locale });
    case 'join':
      return m.marker_join({ client }, { locale });
    case 'leave':
      return m.marker_leave({ client }, { locale });
    case 'loss_burst':
      // It begins with their number.
      return m.marker_loss_burst({ packets: count(Number.parseInt(text, 10)) }, { locale });
    case 'operator':
      return text || m.marker({}, { locale });
  }
}
