// The rows of the list, of which only those in sight are there: ten thousand scroll like ten.
import { Link } from '@tanstack/react-router';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown, ArrowUp, Pin, Target } from 'lucide-react';
import { useRef, type ReactNode } from 'react';

import { hint, short, TONE } from '@/capture/verdict';
import { m } from '@/paraglide/messages.js';
import { Badge } from '@/ui/controls';
import { bytes, clock, count, moment, size } from '@/units';
import { parseSort, type Entry, type SortKey } from './data';
import { RecordingActions } from './RecordingActions';

const ROW_PX = 60;
// On a phone a row has two lines, and shows what it is told apart by.
const GRID =
  'grid grid-cols-[2rem_minmax(0,1fr)_auto_2.5rem] items-center gap-x-3 px-3 lg:grid-cols-[2rem_minmax(10rem,2fr)_6rem_6.5rem_5rem_minmax(5rem,1fr)_4.5rem_5.5rem_11rem_2.5rem]';
const WIDE = 'hidden min-w-0 truncate lg:block';

export interface TableProps {
  entries: readonly Entry[];
  sort: string | undefined;
  onSort: (sort: string) => void;
  chosen: ReadonlySet<string>;
  onChoose: (chosen: ReadonlySet<string>) => void;
  evicted: ReadonlySet<string>;
  baseline: string | undefined;
}

export function RecordingTable(props: TableProps) {
  const { entries, chosen, onChoose } = props;
  const list = useRef<HTMLDivElement>(null);
  const rows = useWindowVirtualizer({
    count: entries.length,
    estimateSize: () => ROW_PX,
    overscan: 8,
    scrollMargin: list.current?.offsetTop ?? 0,
  });
  const ids = entries.flatMap(({ id }) => (id == null ? [] : [id]));
  const all = ids.length > 0 && ids.every((id) => chosen.has(id));
  return (
    <div
      role="table"
      aria-label={m.nav_recordings()}
      aria-rowcount={entries.length + 1}
      className="card overflow-clip"
    >
      <div role="rowgroup" className="sticky top-14 z-10 border-b border-line bg-surface">
        <div role="row" aria-rowindex={1} className={`${GRID} h-10 text-sm text-muted`}>
          <div role="columnheader" aria-label={m.selection()}>
            <input
              type="checkbox"
              className="size-4 accent-(--accent-fill)"
              aria-label={m.select_all()}
              checked={all}
              onChange={() => onChoose(new Set(all ? [] : ids))}
            />
          </div>
          <Heading {...props} by="time" also="label">
            {m.recording_column()}
          </Heading>
          <div role="columnheader" className={WIDE}>
            {m.kind()}
          </div>
          <div role="columnheader" className={WIDE}>
            {m.picture()}
          </div>
          <div role="columnheader" className={WIDE}>
            {m.codec()}
          </div>
          <div role="columnheader" className={WIDE}>
            {m.client()}
          </div>
          <Heading {...props} by="duration" className="hidden lg:block">
            {m.duration()}
          </Heading>
          <Heading {...props} by="samples" className="hidden lg:block">
            {m.samples()}
          </Heading>
          <Heading {...props} by="late">
            {m.verdict()}
          </Heading>
          <div role="columnheader">
            <span className="sr-only">{m.actions()}</span>
          </div>
        </div>
      </div>
      <div ref={list} role="rowgroup" className="relative" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const entry = entries[index];
          return entry === undefined ? null : (
            <div
              key={entry.name}
              role="row"
              aria-rowindex={index + 2}
              className={`${GRID} absolute inset-x-0 border-b border-line hover:bg-raised/60 has-checked:bg-accent-soft`}
              style={{
                height: ROW_PX,
                transform: `translateY(${String(start - rows.options.scrollMargin)}px)`,
              }}
            >
              <Row entry={entry} {...props} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Heading({
  by,
  also,
  sort,
  onSort,
  className = '',
  children,
}: TableProps & { by: SortKey; also?: SortKey; className?: string; children: ReactNode }) {
  const { key, descends } = parseSort(sort);
  const mine = key === by || key === also;
  const Arrow = descends ? ArrowDown : ArrowUp;
  return (
    <div
      role="columnheader"
      aria-sort={mine ? (descends ? 'descending' : 'ascending') : 'none'}
      className={className}
    >
      <button
        type="button"
        className="inline-flex items-center gap-1 hover:text-text"
        onClick={() => onSort(key === by && descends ? by : `-${by}`)}
      >
        {children}
        {mine && <Arrow aria-hidden className="size-3.5" />}
      </button>
    </div>
  );
}

function Row({ entry, chosen, onChoose, evicted, baseline }: TableProps & { entry: Entry }) {
  const { id, meta } = entry;
  const name = meta?.label || (meta ? moment(meta.started_unix_ms) : entry.name);
  return (
    <>
      <div role="cell">
        {id != null && (
          <input
            type="checkbox"
            className="size-4 accent-(--accent-fill)"
            aria-label={m.select_one({ name: name.slice(0, 100) })}
            checked={chosen.has(id)}
            onChange={() => {
              const next = new Set(chosen);
              if (!next.delete(id)) next.add(id);
              onChoose(next);
            }}
          />
        )}
      </div>
      <div role="cell" className="min-w-0">
        <div className="flex min-w-0 items-center gap-1.5">
          {meta && id != null ? (
            <Link
              to="/recordings/$id"
              params={{ id }}
              className="truncate font-medium hover:underline"
            >
              <bdi>{name.slice(0, 200)}</bdi>
            </Link>
          ) : (
            <bdi className="truncate font-medium">{name}</bdi>
          )}
          {meta?.pinned && <Pin role="img" aria-label={m.pinned()} className="size-3.5 shrink-0" />}
          {id != null && id === baseline && (
            <Target
              role="img"
              aria-label={m.baseline()}
              className="size-3.5 shrink-0 text-accent-text"
            />
          )}
        </div>
        <div className="truncate text-sm text-muted">
          {meta ? (
            <>
              {moment(meta.started_unix_ms)}
              <span className="lg:hidden"> · {clock(meta.duration_ms)}</span>
            </>
          ) : (
            `${bytes(entry.bytes)} · ${entry.reason ?? ''}`
          )}
          {id != null && evicted.has(id) && ` · ${m.evicted_next()}`}
        </div>
      </div>
      <div role="cell" className={WIDE}>
        {meta?.kind ?? '–'}
      </div>
      <div role="cell" className={WIDE}>
        {size(meta?.width, meta?.height)}
      </div>
      <div role="cell" className={WIDE}>
        {meta?.codec ?? '–'}
      </div>
      <div role="cell" className={WIDE}>
        <bdi>{meta?.client?.slice(0, 100) ?? '–'}</bdi>
      </div>
      <div role="cell" className={WIDE}>
        {clock(meta?.duration_ms)}
      </div>
      <div role="cell" className={WIDE}>
        {count(meta?.sample_count)}
      </div>
      <div role="cell" className="min-w-0">
        {meta?.verdict ? (
          <Badge tone={TONE[meta.verdict.kind]} title={hint(meta.verdict)}>
            <span className="max-w-24 truncate sm:hidden">
              {meta.verdict.stage ?? short(meta.verdict)}
            </span>
            <span className="max-sm:hidden">{short(meta.verdict)}</span>
          </Badge>
        ) : meta ? (
          '–'
        ) : (
          <Badge tone="bad" title={entry.reason ?? undefined}>
            {m.unreadable()}
          </Badge>
        )}
      </div>
      <div role="cell">
        {meta && <RecordingActions meta={meta} revision={entry.revision} compact />}
      </div>
    </>
  );
}
