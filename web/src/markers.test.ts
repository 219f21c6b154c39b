import { beforeEach, expect, test } from 'vitest';

import type { Schemas } from '@/api/client';
import { getLocale, overwriteGetLocale } from '@/paraglide/runtime.js';
import { worded } from './markers';

const marker = (kind: Schemas['Marker']['kind'], text: string, session: string | null = 's1') => ({
  t_ms: 1000,
  session_id: session,
  kind,
  text,
});
const markers = [
  marker('idr', 'IDR requested'),
  marker('bitrate', '10000 → 6000 kb/s'),
  marker('join', 'Deck joined (1280x720@60)'),
  marker('leave', 's2 left', 's2'),
  marker('loss_burst', '1200 packets lost'),
  marker('operator', 'here <b>', null),
  marker('operator', '', null),
];
const sessions = [
  { id: 's1', client: 'Deck' },
  { id: 's2', client: '' },
];
const said = () => worded(markers, sessions, getLocale()).map(({ text }) => text);

beforeEach(() => overwriteGetLocale(() => 'en'));

test('markers of the host are told in the language of the page, the operator’s as they are', () => {
  expect(said()).toEqual([
    'Key frame (IDR) requested',
    'Bit rate 10000 → 6000 kb/s',
    'Deck joined',
    's2 left',
    'Packets lost at once: 1,200',
    'here <b>',
    'Marker',
  ]);
  overwriteGetLocale(() => 'de');
  expect(said()).toEqual([
    'Schlüsselbild (IDR) verlangt',
    'Bitrate 10000 → 6000 kb/s',
    'Deck kam dazu',
    's2 ging',
    'Auf einmal verlorene Pakete: 1.200',
    'here <b>',
    'Marke',
  ]);
});
