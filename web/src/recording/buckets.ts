// A window's distribution as the host writes it: base-2 buckets, sparse.

/** Buckets an octave, as recorded; four of them make one bar. */
const PER_OCTAVE = 64;
const MERGED = 4;

/** Adds a window's buckets: the first index, then counts; `-n` skips n buckets. */
export function addBuckets(into: Map<number, number>, wire: readonly number[]): void {
  let index = wire[0] ?? 0;
  for (const entry of wire.slice(1)) {
    if (entry < 0) {
      index -= entry;
      continue;
    }
    const bar = Math.floor(index / MERGED);
    if (entry > 0) into.set(bar, (into.get(bar) ?? 0) + entry);
    index += 1;
  }
}

/** The geometric middle of a bar, µs. */
export const middleUs = (bar: number) => 2 ** ((bar + 0.5) / (PER_OCTAVE / MERGED)) * 1e6;
