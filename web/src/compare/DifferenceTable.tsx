// Every figure of each run against the baseline, with what chance leaves of it.
import { useState } from 'react';

import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { ScrollBox } from '@/ui/scroll';
import { stageClass } from '@/stages';
import { Badge } from '@/ui/controls';
import { ABSENT, signed } from '@/units';
import { differenceIn, figureName, valueIn } from './words';

type Figure = Schemas['FigureDifference'];

/** On a phone there is room for what changed, not for what it was. */
const BASELINE = 'max-sm:hidden';

function Change({ figure }: { figure: Figure | undefined }) {
  if (figure === undefined) return <td className="px-2">{ABSENT}</td>;
  const text = differenceIn(figure.unit);
  const noise = figure.outcome === 'noise' || figure.outcome === 'unknown';
  const range =
    figure.low == null || figure.high == null
      ? m.range_unknown()
      : m.range_of_chance({
          low: signed(figure.low, text),
          high: signed(figure.high, text),
        });
  const tone =
    figure.outcome === 'better' ? 'good' : figure.outcome === 'worse' ? 'bad' : 'neutral';
  return (
    <td className="px-2 sm:whitespace-nowrap" title={range}>
      <span className={`whitespace-nowrap ${noise ? 'text-muted' : ''}`}>
        {valueIn(figure.unit)(figure.value)}
      </span>{' '}
      <Badge tone={tone}>
        {signed(figure.difference, text)}
        {noise && ` · ${figure.outcome === 'noise' ? m.outcome_noise() : m.outcome_unknown()}`}
      </Badge>
    </td>
  );
}

export function DifferenceTable({
  comparison,
  names,
}: {
  comparison: Schemas['Comparison'];
  names: readonly string[];
}) {
  const [all, setAll] = useState(false);
  const { differences } = comparison;
  const keys = new Map<string, Figure>();
  for (const run of differences) {
    for (const figure of run.figures) keys.set(`${figure.series} ${figure.figure}`, figure);
  }
  const find = (run: Schemas['RunDifference'], key: string) =>
    run.figures.find((figure) => `${figure.series} ${figure.figure}` === key);
  const changed = [...keys].filter(
    ([key]) =>
      all ||
      key.startsWith('host ') ||
      differences.some((run) => ['better', 'worse'].includes(find(run, key)?.outcome ?? '')),
  );
  return (
    <>
      <label className="mb-2 flex w-fit items-center gap-2 text-sm">
        <input
          type="checkbox"
          className="size-4 accent-(--accent-fill)"
          checked={all}
          onChange={(event) => setAll(event.target.checked)}
        />
        {m.noise_too()}
      </label>
      <ScrollBox label={m.differences()} className="overflow-x-auto">
        <table className="w-full text-right">
          <thead className="text-sm text-muted">
            <tr>
              <th scope="col" className="sticky left-0 bg-surface py-1 pr-3 text-left font-medium">
                {m.figure()}
              </th>
              {names.map((name, at) => (
                <th
                  key={name}
                  scope="col"
                  className={`max-w-36 truncate px-2 font-medium sm:max-w-56 ${at === 0 ? BASELINE : ''}`}
                >
                  <bdi>{name}</bdi>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {changed.map(([key, first]) => (
              <tr key={key} className="border-t border-line">
                <th
                  scope="row"
                  className="sticky left-0 bg-surface py-1.5 pr-3 text-left font-medium whitespace-nowrap"
                >
                  <span className="flex items-center gap-2">
                    <span
                      aria-hidden
                      className={`size-2.5 rounded-sm ${
                        ['host', 'frames', 'packets'].includes(first.series)
                          ? ''
                          : stageClass(first.series)
                      }`}
                    />
                    {figureName(first)}
                  </span>
                </th>
                <td className={`px-2 whitespace-nowrap ${BASELINE}`}>
                  {valueIn(first.unit)(first.baseline)}
                </td>
                {differences.map((run, at) => (
                  <Change key={names[at + 1]} figure={find(run, key)} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </>
  );
}
