// The one place that turns figures of the API into words: numbers, units and times in the language of the page.
// What is absent is a dash, never a zero.
import { m } from '@/paraglide/messages.js';
import { getLocale } from '@/paraglide/runtime.js';

/** What stands for a figure that was not measured. */
export const ABSENT = '–';

type Figure = number | null | undefined;

const formats = new Map<string, Intl.NumberFormat>();

function format(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = getLocale() + JSON.stringify(options);
  let made = formats.get(key);
  if (made === undefined) {
    made = new Intl.NumberFormat(getLocale(), options);
    formats.set(key, made);
  }
  return made;
}

function shown(value: Figure, write: (value: number) => string): string {
  return value === null || value === undefined || !Number.isFinite(value) ? ABSENT : write(value);
}

/** Two to three figures that count: 0.42, 5.8, 45.9, 120. */
function digits(value: number): number {
  const size = Math.abs(value);
  return size >= 100 ? 0 : size >= 10 ? 1 : 2;
}

function fixed(value: number): string {
  const n = digits(value);
  return format({ minimumFractionDigits: n, maximumFractionDigits: n }).format(value);
}

/** A whole number with separators. */
export const count = (value: Figure) =>
  shown(value, (n) => format({ maximumFractionDigits: 0 }).format(n));

/** Microseconds as milliseconds, without the unit. */
export const msBare = (us: Figure) => shown(us, (n) => fixed(n / 1000));

/** The same on an axis, without needless digits. */
export const msAxis = (us: Figure) =>
  shown(us, (n) => format({ maximumFractionDigits: 2 }).format(n / 1000));

/** A whole number on an axis; nothing stands at what lies between. */
export const countAxis = (n: number) => (Number.isInteger(n) ? count(n) : '');

/** Any number on an axis. */
export const axis = (n: number) => format({ maximumFractionDigits: 2 }).format(n);

/** Microseconds as milliseconds. */
export const ms = (us: Figure) => shown(us, (n) => `${fixed(n / 1000)} ms`);

/** Frames a second. */
export const fps = (value: Figure) =>
  shown(value, (n) => `${format({ maximumFractionDigits: 1 }).format(n)} fps`);

/** Megabits a second. */
export const mbps = (value: Figure) => shown(value, (n) => `${fixed(n)} Mbit/s`);

/** A share of 0–1 as percent; what is not quite nothing, or not quite all, is not shown as if it were. */
export const percent = (share: Figure) =>
  shown(share, (n) => {
    const few = n !== 0 && Math.abs(n) < 0.1;
    const written = format({ style: 'percent', maximumFractionDigits: few ? 1 : 0 });
    if (n > 0 && n < 0.001) return `< ${written.format(0.001)}`;
    if (n >= 0.995 && n < 1) return `> ${written.format(0.99)}`;
    return written.format(n);
  });

/** A difference of two shares of 0–1, in percentage points. */
export const points = (difference: Figure) =>
  shown(difference, (n) =>
    m.percentage_points({ n: format({ maximumFractionDigits: 1 }).format(n * 100) }),
  );

/** Bytes in the unit that fits, powers of ten. */
export const bytes = (value: Figure) =>
  shown(value, (n) => {
    const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
    const step = n < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(n) / 3));
    return format({
      style: 'unit',
      unit: units[step] ?? 'byte',
      maximumFractionDigits: step === 0 ? 0 : 1,
    }).format(n / 1000 ** step);
  });

/** A length of time as a clock: 0:07, 12:30, 1:02:03. */
export const clock = (milliseconds: Figure) =>
  shown(milliseconds, (n) => {
    const s = Math.max(0, Math.floor(n / 1000));
    const two = (part: number) => String(part).padStart(2, '0');
    const hours = Math.floor(s / 3600);
    const minutes = Math.floor(s / 60) % 60;
    return hours > 0
      ? `${String(hours)}:${two(minutes)}:${two(s % 60)}`
      : `${String(minutes)}:${two(s % 60)}`;
  });

/** The same with tenths, for a range that was dragged. */
export const clockTenths = (milliseconds: number) =>
  `${clock(milliseconds)}${decimalPoint()}${String(Math.floor((milliseconds % 1000) / 100))}`;

function decimalPoint(): string {
  return (
    format({})
      .formatToParts(1.1)
      .find((part) => part.type === 'decimal')?.value ?? '.'
  );
}

/** A moment, with the day. */
export function moment(unixMs: Figure): string {
  return shown(unixMs, (n) =>
    new Intl.DateTimeFormat(getLocale(), { dateStyle: 'medium', timeStyle: 'short' }).format(n),
  );
}

/** How long ago, in the largest unit that fits. */
export function ago(unixMs: Figure, now = Date.now()): string {
  return shown(unixMs, (n) => {
    const s = Math.round((n - now) / 1000);
    const relative = new Intl.RelativeTimeFormat(getLocale(), { numeric: 'auto' });
    if (Math.abs(s) < 60) return relative.format(s, 'second');
    if (Math.abs(s) < 3600) return relative.format(Math.round(s / 60), 'minute');
    if (Math.abs(s) < 86_400) return relative.format(Math.round(s / 3600), 'hour');
    return relative.format(Math.round(s / 86_400), 'day');
  });
}

/** A difference with its sign: +0.3 ms, −3.1 ms. */
export const signed = (value: number, write: (value: number) => string) =>
  value === 0 ? `±${write(0)}` : `${value < 0 ? '−' : '+'}${write(Math.abs(value))}`;

/** Width by height. */
export const size = (width: Figure, height: Figure) =>
  width && height ? `${String(width)}×${String(height)}` : ABSENT;
