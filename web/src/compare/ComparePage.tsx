// Two to four recordings, each held against the first: what changed, what is noise, what was set differently.
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { FileDown } from 'lucide-react';
import { useMemo, type ReactNode } from 'react';

import { api, body, type Schemas } from '@/api/client';
import { recordingQuery } from '@/api/queries';
import { spanOf, STAY, withSpan } from '@/app/span';
import { stageNames, timeline } from '@/capture/graphs';
import { Chart } from '@/chart/Chart';
import type { Graph, Span } from '@/chart/types';
import { m } from '@/paraglide/messages.js';
import { getLocale } from '@/paraglide/runtime.js';
import { BackLink } from '@/recordings/BackLink';
import { ScrollBox } from '@/ui/scroll';
import { Badge, Button, Choice, Field } from '@/ui/controls';
import { Empty, Failure, Loading, Notice } from '@/ui/states';
import { ABSENT, clock, clockTenths, moment, ms, msAxis } from '@/units';
import { DifferenceTable } from './DifferenceTable';
import { outcome, sentence, settingName, TONES, warnings } from './words';

const route = getRouteApi('/compare');
/** The runs, in their order. */
const COLOURS = ['--run-1', '--run-2', '--run-3', '--run-4'];
const nameOf = (meta: Schemas['CaptureMeta']) =>
  (meta.label || moment(meta.started_unix_ms)).slice(0, 60);

export function ComparePage() {
  const { ids = '', from, to } = route.useSearch();
  const span = useMemo(() => spanOf({ from, to }), [from, to]);
  const query = { ids, ...(span && { from_ms: span.from, to_ms: span.to }) };
  const comparison = useQuery({
    queryKey: ['compare', query],
    queryFn: () => body(api.GET('/api/v1/stats/compare', { params: { query } })),
    enabled: ids.includes(','),
    placeholderData: keepPreviousData,
  });
  const instead = (content: ReactNode) => (
    <>
      <BackLink />
      <h1 className="mt-1">{m.comparison()}</h1>
      {content}
    </>
  );
  if (!ids.includes(',')) {
    return instead(<Empty title={m.compare_how_many()}>{m.compare_how()}</Empty>);
  }
  if (comparison.isPending) return <Loading what={m.compare()} />;
  if (comparison.isError) {
    return instead(<Failure error={comparison.error} again={() => void comparison.refetch()} />);
  }
  return (
    <Compared
      comparison={comparison.data}
      span={span}
      report={`/api/v1/stats/compare/report?${new URLSearchParams(
        Object.entries({ ...query, language: getLocale() }).map(([key, value]) => [
          key,
          String(value),
        ]),
      ).toString()}`}
    />
  );
}

function Compared({
  comparison,
  span,
  report,
}: {
  comparison: Schemas['Comparison'];
  span: Span | undefined;
  report: string;
}) {
  const { runs, differences, configuration } = comparison;
  const remarks = warnings(comparison);
  const navigate = route.useNavigate();
  const zoom = (next: Span | undefined) =>
    void navigate({ search: (now) => withSpan(now, next), ...STAY });
  // Two runs may be called the same.
  const names = runs.map(({ meta }, at) => `${String(at + 1)} · ${nameOf(meta)}`);
  return (
    <div className="flex flex-col gap-4">
      <div>
        <BackLink />
        <div className="mt-1 flex flex-wrap items-center justify-between gap-3">
          <h1>{m.comparison()}</h1>
          <a
            href={report}
            download="punktfunk-comparison.html"
            className="inline-flex min-h-9 items-center gap-2 rounded-lg border border-line-strong/60 bg-surface px-3 font-medium hover:bg-raised"
          >
            <FileDown aria-hidden className="size-4" />
            {m.download_report()}
          </a>
        </div>
      </div>
      {!comparison.comparable && <Notice tone="warn">{m.not_comparable()}</Notice>}
      {remarks.length > 0 && (
        <ul className="list-inside list-disc text-muted">
          {remarks.map((warning) => (
            <li key={warning} className="break-words">
              {warning}
            </li>
          ))}
        </ul>
      )}
      <section className="card p-4" aria-label={m.recordings_compared()}>
        {span && (
          <p className="mb-3 flex flex-wrap items-center gap-2 text-muted">
            {m.compare_of_each({ from: clockTenths(span.from), to: clockTenths(span.to) })}
            <Button look="quiet" className="min-h-7" onClick={() => zoom(undefined)}>
              {m.whole_run()}
            </Button>
          </p>
        )}
        <ol className="flex flex-col gap-3">
          {runs.map(({ meta }, at) => {
            const difference = differences[at - 1];
            return (
              <li key={`${meta.id}${String(at)}`} className="flex min-w-0 flex-col gap-1">
                <div className="flex min-w-0 flex-wrap items-center gap-2">
                  <Link
                    to="/recordings/$id"
                    params={{ id: meta.id }}
                    className="min-w-0 truncate font-medium hover:underline"
                  >
                    <bdi>{names[at]}</bdi>
                  </Link>
                  <span className="text-sm text-muted">
                    {moment(meta.started_unix_ms)} · {clock(meta.duration_ms)}
                  </span>
                  {difference ? (
                    <Badge tone={TONES[difference.outcome]}>{outcome(difference.outcome)}</Badge>
                  ) : (
                    <Badge tone="accent">{m.baseline()}</Badge>
                  )}
                </div>
                {difference && (
                  <p className="max-w-prose text-lg font-medium">{sentence(difference)}</p>
                )}
              </li>
            );
          })}
        </ol>
        <p className="mt-4 max-w-prose text-sm text-muted">{m.noise_how()}</p>
      </section>
      <Overlay runs={runs} names={names} span={span} onZoom={zoom} />
      <section className="card min-w-0 p-4">
        <h2 className="mb-2">{m.differences()}</h2>
        <DifferenceTable comparison={comparison} names={names} />
      </section>
      <section className="card min-w-0 p-4">
        <h2>{m.configuration_differs()}</h2>
        {configuration.length === 0 ? (
          <p className="mt-2 text-muted">{m.configuration_same()}</p>
        ) : (
          <ScrollBox label={m.configuration_differs()} className="mt-2 overflow-x-auto">
            <table className="w-full text-left">
              <thead className="text-sm text-muted">
                <tr>
                  <th scope="col" className="py-1 pr-4 font-medium">
                    {m.setting()}
                  </th>
                  {names.map((name) => (
                    <th key={name} scope="col" className="px-2 font-medium">
                      <bdi>{name}</bdi>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {configuration.map(({ setting, values }) => (
                  <tr key={setting} className="border-t border-line">
                    <th scope="row" className="py-1.5 pr-4 font-medium">
                      {settingName(setting)}
                    </th>
                    {values.map((value, at) => (
                      <td key={names[at]} className="px-2 break-words">
                        {value ?? ABSENT}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </ScrollBox>
        )}
      </section>
    </div>
  );
}

/** The runs over one another, aligned at their start; one session of each. */
function Overlay({
  runs,
  names,
  span,
  onZoom,
}: {
  runs: Schemas['ComparedRun'][];
  names: string[];
  span: Span | undefined;
  onZoom: (span: Span | undefined) => void;
}) {
  const search = route.useSearch();
  const { stage = 'host', stat = 'p99', sessions = '' } = search;
  // Places in the lists of sessions: the address stays short, whatever sessions are called.
  const chosen = useMemo(() => {
    const places = sessions.split('-').map(Number);
    return runs.map(({ meta }, at) => meta.sessions[places[at] ?? 0] ?? meta.sessions[0]);
  }, [runs, sessions]);
  const navigate = route.useNavigate();
  const show = (part: typeof search) =>
    void navigate({ search: (now) => ({ ...now, ...part }), ...STAY });
  const captures = useQueries({
    queries: runs.map(({ meta }) => recordingQuery(meta.id)),
    combine: (all) => ({
      data: all.every((one) => one.data) ? all.flatMap((one) => one.data ?? []) : undefined,
      error: all.find((one) => one.isError)?.error,
    }),
  });
  const lines = useMemo(
    () =>
      captures.data?.map((capture, at) =>
        timeline(capture.samples.filter((sample) => sample.session_id === chosen[at]?.id)),
      ),
    [captures.data, chosen],
  );
  const stages = useMemo(
    () => ['host', ...stageNames(captures.data?.flatMap((capture) => capture.samples) ?? [])],
    [captures.data],
  );
  const graph = useMemo<Graph | undefined>(() => {
    if (lines === undefined) return undefined;
    const x = [...new Set(lines.flatMap((line) => line.x))];
    x.sort((a, b) => a - b);
    return {
      x,
      columns: lines.map((line, at) => {
        const found = new Map<number, number | null>();
        line.rows.forEach((sample, index) => {
          const figures =
            stage === 'host' ? sample?.host : sample?.stages.find((one) => one.name === stage);
          const key = stat === 'mean' ? 'mean_us' : stat === 'p50' ? 'p50_us' : 'p99_us';
          found.set(line.x[index] ?? 0, figures?.[key] ?? null);
        });
        return {
          label: names[at] ?? '',
          colour: COLOURS[at] ?? '--muted',
          kind: 'line',
          // Where another run has a window and this one has none, the line goes on.
          values: x.map((t) => found.get(t)),
        };
      }),
    };
  }, [lines, stage, stat, names]);
  const choose = (run: number, place: number) => {
    const places = runs.map(({ meta }, at) =>
      at === run ? place : meta.sessions.findIndex(({ id }) => id === chosen[at]?.id),
    );
    show({ sessions: places.join('-') });
  };
  if (captures.error) return <Failure error={captures.error} />;
  if (graph === undefined) return <Loading what={m.graph_overlay()} />;
  return (
    <section className="card min-w-0 p-4">
      <div className="mb-3 flex flex-wrap gap-3 overflow-x-auto">
        <Choice
          label={m.stage()}
          value={stage}
          options={stages.map((name) => [name, name] as const)}
          onChange={(next) => show({ stage: next })}
        />
        <Choice
          label={m.statistic()}
          value={stat}
          options={[
            ['p50', 'p50'],
            ['p99', 'p99'],
            ['mean', m.mean()],
          ]}
          onChange={(next) => show({ stat: next })}
        />
      </div>
      {runs.some(({ meta }) => meta.sessions.length > 1) && (
        <div className="mb-3 flex flex-wrap gap-3">
          {runs.map(
            ({ meta }, at) =>
              meta.sessions.length > 1 && (
                <Field key={names[at]} label={m.compare_session({ run: names[at] ?? '' })}>
                  <select
                    className="field max-w-72"
                    value={chosen[at]?.id}
                    onChange={(event) => choose(at, event.target.selectedIndex)}
                  >
                    {meta.sessions.map((one) => (
                      <option key={one.id} value={one.id}>
                        {`${one.id} · ${one.client.slice(0, 60)}`}
                      </option>
                    ))}
                  </select>
                </Field>
              ),
          )}
        </div>
      )}
      <Chart
        title={m.graph_overlay()}
        measure="ms"
        description={m.graph_overlay_how()}
        graph={graph}
        unit={ms}
        axis={msAxis}
        atX={clock}
        atFineX={clockTenths}
        span={span}
        onZoom={onZoom}
        height={260}
      />
    </section>
  );
}
