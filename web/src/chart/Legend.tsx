// Names of what is drawn, and the figures under the cursor. The graph writes the figures itself: a mouse moves faster than
// a page is drawn anew.
import { stageClass } from '@/stages';
import type { Column } from './types';

const CLASSES: Record<string, string> = {
  '--host-p50': 'bg-(--host-p50)',
  '--host-p99': 'bg-(--host-p99)',
  '--run-1': 'bg-(--run-1)',
  '--run-2': 'bg-(--run-2)',
  '--run-3': 'bg-(--run-3)',
  '--run-4': 'bg-(--run-4)',
  '--budget': 'bg-(--budget)',
  '--accent': 'bg-accent',
  '--muted': 'bg-muted',
  '--good': 'bg-good',
  '--warn': 'bg-warn',
  '--bad': 'bg-bad',
};

function swatch(column: Column): string {
  const name = column.colour.replace('--stage-', '');
  const paint = column.colour.startsWith('--stage-')
    ? stageClass(name)
    : `forced-color-adjust-none ${CLASSES[column.colour] ?? 'bg-muted'}`;
  const form =
    column.kind === 'area' || column.kind === 'bar' ? 'size-2.5 rounded-sm' : 'h-0.5 w-3';
  return `${paint} ${form}`;
}

export function Legend({
  columns,
  remember,
}: {
  columns: readonly Column[];
  remember: (label: string, cell: HTMLElement | null) => void;
}) {
  return (
    <ul className="mt-1 flex flex-wrap gap-x-4 gap-y-1 text-sm" aria-hidden>
      {columns.map((column) => (
        <li key={column.label} className="flex items-center gap-1.5">
          <span className={`inline-block ${swatch(column)}`} />
          <span className="text-muted">{column.label}</span>
          <span ref={(cell) => remember(column.label, cell)} className="min-w-14 font-medium" />
        </li>
      ))}
    </ul>
  );
}
