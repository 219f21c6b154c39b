// What a graph is told to draw.
import type { Schemas } from '@/api/client';

/** `area`: stacked upon the areas before it. `line`, `dash`: on its own. `bar`: stacked, one beside the other. */
export type Kind = 'area' | 'line' | 'dash' | 'bar';

export interface Column {
  label: string;
  /** The custom property of its colour. */
  colour: string;
  kind: Kind;
  /** One for each x; `null` is a gap, `undefined` an x of another column only. */
  values: readonly (number | null | undefined)[];
}

export interface Graph {
  /** Milliseconds since the start, bucket bounds or frame numbers; ascending. */
  x: readonly number[];
  columns: readonly Column[];
}

export type Marker = Schemas['Marker'];

/** A range of x. */
export interface Span {
  from: number;
  to: number;
}
