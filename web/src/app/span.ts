// How a page's address changes with what is looked at, and the range of a run in it.
import type { Span } from '@/chart/types';

/** The page stays what and where it is: going back leaves it. */
export const STAY = { replace: true, resetScroll: false } as const;

export interface SpanSearch {
  from?: number | undefined;
  to?: number | undefined;
}

/** The range, if the address names one. */
export const spanOf = ({ from, to }: SpanSearch): Span | undefined =>
  from !== undefined && to !== undefined && from < to ? { from, to } : undefined;

/** The address with another range, or with none. */
export function withSpan<T extends SpanSearch>(search: T, span: Span | undefined): T {
  const rest = { ...search };
  delete rest.from;
  delete rest.to;
  return { ...rest, ...span };
}
