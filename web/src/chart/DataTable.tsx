// A graph as a table, for those who cannot see it. Long ones are thinned out; the whole is in the CSV file.
import { useMemo, useState } from 'react';

import { m } from '@/paraglide/messages.js';
import { ScrollBox } from '@/ui/scroll';
import { count } from '@/units';
import type { Graph } from './types';

const ROWS = 60;

export function DataTable({
  title,
  graph,
  unit,
  atX,
}: {
  title: string;
  graph: Graph;
  unit: (value: number | null | undefined) => string;
  atX: (x: number) => string;
}) {
  const [open, setOpen] = useState(false);
  const step = Math.max(1, Math.ceil(graph.x.length / ROWS));
  const rows = useMemo(
    () => (open ? graph.x.map((x, at) => ({ x, at })).filter(({ at }) => at % step === 0) : []),
    [graph, open, step],
  );
  return (
    <details className="mt-1 text-sm" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="w-fit text-muted hover:text-text">{m.graph_as_table()}</summary>
      <ScrollBox label={title} className="mt-2 max-h-72 overflow-auto">
        <table className="w-full text-right">
          <caption className="mb-1 text-left text-muted">
            {step === 1 ? title : m.graph_thinned({ title, step: count(step) })}
          </caption>
          <thead className="sticky top-0 bg-surface">
            <tr>
              <th scope="col" className="py-1 pr-3 text-left font-medium">
                {m.time()}
              </th>
              {graph.columns.map((column) => (
                <th key={column.label} scope="col" className="px-2 font-medium">
                  {column.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ x, at }) => (
              <tr key={at} className="border-t border-line">
                <th scope="row" className="py-0.5 pr-3 text-left font-normal">
                  {atX(x)}
                </th>
                {graph.columns.map((column) => (
                  <td key={column.label} className="px-2 whitespace-nowrap">
                    {unit(column.values[at])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </details>
  );
}
