// Figures per stage over the whole range, and whom late frames are charged to.
import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { ScrollBox } from '@/ui/scroll';
import { stageClass } from '@/stages';
import { ABSENT, count, msBare, percent } from '@/units';

export function SummaryTable({ figures }: { figures: Schemas['Figures'] }) {
  const { host, pace, interval } = figures;
  const rows = [...figures.stages, host, pace, interval].filter((row) => row != null);
  const late = new Map(figures.late_by_stage.map((one) => [one.stage, one.count]));
  const columns = [m.mean(), 'p50', 'p95', 'p99', 'p99.9', m.maximum(), m.busy(), m.at_fault()];
  if (figures.frames === 0) {
    return <p className="p-4 text-muted">{m.no_frames({ absent: ABSENT })}</p>;
  }
  return (
    <ScrollBox label={m.summary()} className="overflow-x-auto">
      <table className="w-full text-right">
        <caption className="sr-only">{m.summary()}</caption>
        <thead className="text-sm text-muted">
          <tr>
            <th scope="col" className="sticky left-0 bg-surface py-2 pr-3 text-left font-medium">
              ms
            </th>
            {columns.map((name) => (
              <th key={name} scope="col" className="px-2.5 font-medium whitespace-nowrap">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const charged = late.get(row.name);
            const isStage = row !== host && row !== pace && row !== interval;
            const cells = [
              row.mean_us,
              row.p50_us,
              row.p95_us,
              row.p99_us,
              row.p999_us,
              row.max_us,
            ];
            return (
              <tr
                key={row.name}
                className={`border-t border-line ${row === host ? 'font-semibold' : ''}`}
              >
                <th
                  scope="row"
                  className="sticky left-0 bg-surface py-1.5 pr-3 text-left font-medium"
                >
                  <span className="flex items-center gap-2">
                    {isStage ? (
                      <span aria-hidden className={`size-2.5 rounded-sm ${stageClass(row.name)}`} />
                    ) : (
                      <span aria-hidden className="size-2.5" />
                    )}
                    {row.name}
                  </span>
                </th>
                {cells.map((us, at) => (
                  <td
                    key={columns[at]}
                    className="px-2.5"
                    title={us == null ? m.absent_distribution() : undefined}
                  >
                    {msBare(us)}
                  </td>
                ))}
                <td className="px-2.5" title={row.busy_share == null ? m.absent_busy() : undefined}>
                  {percent(row.busy_share)}
                </td>
                <td className="px-2.5 whitespace-nowrap">
                  {row === host
                    ? `${count(figures.late)} (${percent(figures.late_share)})`
                    : isStage
                      ? count(charged ?? 0)
                      : ABSENT}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </ScrollBox>
  );
}
