// One recording: the verdict first, then the figures, the graphs, the moments, and where all of it comes from.
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { Link2 } from 'lucide-react';
import { useMemo } from 'react';

import type { Schemas } from '@/api/client';
import { recordingQuery, summaryQuery } from '@/api/queries';
import { useLocale } from '@/app/preferences';
import { spanOf, STAY, withSpan } from '@/app/span';
import { RunGraphs } from '@/capture/RunGraphs';
import { stageNames } from '@/capture/graphs';
import type { Span } from '@/chart/types';
import { worded } from '@/markers';
import { m } from '@/paraglide/messages.js';
import { BackLink } from '@/recordings/BackLink';
import { RecordingActions } from '@/recordings/RecordingActions';
import { Button, Field } from '@/ui/controls';
import { useSay } from '@/ui/dialog';
import { Empty, Failure, Loading, Notice } from '@/ui/states';
import { clock, count, fps, moment, size } from '@/units';
import { Configuration, Provenance } from './About';
import { BaselineCard } from './BaselineCard';
import { Distribution } from './Distribution';
import { Moments } from './Moments';
import { SummaryTable } from './SummaryTable';
import { VerdictCard } from './VerdictCard';

const route = getRouteApi('/recordings/$id');

export function RecordingPage() {
  const { id } = route.useParams();
  const capture = useQuery(recordingQuery(id));
  if (capture.isPending) return <Loading what={m.recording()} />;
  if (capture.isError) {
    return (
      <>
        <BackLink />
        <h1 className="mt-1 break-words">{id}</h1>
        <Failure error={capture.error} again={() => void capture.refetch()} />
      </>
    );
  }
  return <Recording capture={capture.data} />;
}

function Recording({ capture }: { capture: Schemas['Capture'] }) {
  const { meta } = capture;
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const say = useSay();
  const chosen = meta.sessions.some(({ id }) => id === search.session)
    ? search.session
    : meta.sessions[0]?.id;
  const session = meta.sessions.find(({ id }) => id === chosen);
  const samples = useMemo(
    () => capture.samples.filter((sample) => sample.session_id === chosen),
    [capture, chosen],
  );
  const locale = useLocale();
  const markers = useMemo(() => {
    const own = capture.markers.filter(({ session_id: of }) => of == null || of === chosen);
    return worded(own, meta.sessions, locale);
  }, [capture, meta, chosen, locale]);
  const { from, to } = search;
  const span = useMemo(() => spanOf({ from, to }), [from, to]);
  const range = useQuery({
    ...summaryQuery(meta.id, from ?? 0, to ?? meta.duration_ms),
    enabled: span !== undefined,
    placeholderData: keepPreviousData,
  });
  const summary = span === undefined ? capture.summary : range.data;
  const own = summary?.sessions.find((one) => one.session_id === chosen);
  const several = meta.sessions.length > 1;

  const zoom = (next: Span | undefined) =>
    void navigate({ search: (now) => withSpan(now, next), ...STAY });
  const show = (part: typeof search) =>
    void navigate({ search: (now) => ({ ...now, ...part }), ...STAY });

  return (
    <div className="flex flex-col gap-4">
      <div className="flex flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1 basis-72">
          <BackLink />
          <h1 className="mt-1 line-clamp-3 break-words">
            <bdi>{meta.label || moment(meta.started_unix_ms)}</bdi>
          </h1>
          <p className="mt-1 text-muted">
            {[
              moment(meta.started_unix_ms),
              clock(meta.duration_ms),
              size(meta.width, meta.height),
              fps(meta.fps),
              meta.codec,
            ]
              .filter(Boolean)
              .join(' · ')}
          </p>
          {meta.note && (
            <p className="mt-2 max-w-prose break-words whitespace-pre-wrap">
              <bdi>{meta.note}</bdi>
            </p>
          )}
        </div>
        <div className="flex flex-wrap gap-2">
          <Button
            onClick={() =>
              void navigator.clipboard.writeText(location.href).then(
                () => say(m.link_copied()),
                () => say(m.link_not_copied(), 'bad'),
              )
            }
          >
            <Link2 aria-hidden className="size-4" />
            {m.copy_link()}
          </Button>
          <RecordingActions meta={meta} revision={undefined} />
        </div>
      </div>

      {meta.interrupted && <Notice tone="warn">{m.interrupted()}</Notice>}
      {meta.truncated && <Notice tone="warn">{m.truncated()}</Notice>}
      {(meta.records_lost ?? 0) > 0 && (
        <Notice tone="warn">{m.records_lost({ count: count(meta.records_lost) })}</Notice>
      )}

      {several && (
        <Field label={m.session()}>
          <select
            className="field max-w-96"
            value={chosen}
            onChange={(event) => show({ session: event.target.value })}
          >
            {meta.sessions.map((one) => (
              <option key={one.id} value={one.id}>
                {`${one.id} · ${one.client.slice(0, 60)} · ${size(one.width, one.height)}`}
              </option>
            ))}
          </select>
        </Field>
      )}

      {summary === undefined ? (
        range.isError ? (
          <Failure error={range.error} again={() => void range.refetch()} />
        ) : (
          <Loading what={m.summary()} />
        )
      ) : (
        <>
          <VerdictCard
            verdict={several && own ? own.verdict : summary.verdict}
            span={span}
            onReset={() => zoom(undefined)}
          />
          <section className="card min-w-0 px-4 py-3">
            <SummaryTable figures={own?.figures ?? summary.all} />
          </section>
        </>
      )}

      <BaselineCard id={meta.id} />
      {samples.length === 0 ? (
        <section className="card">
          <Empty title={m.no_samples()}>{m.no_samples_why()}</Empty>
        </section>
      ) : (
        <>
          <RunGraphs
            samples={samples}
            budgetUs={session?.latency_target_us}
            markers={markers}
            statistic={search.stat ?? 'p50'}
            onStatistic={(stat) => show({ stat })}
            sync={meta.id}
            span={span}
            onZoom={zoom}
          />
          <Moments
            capture={capture}
            markers={markers}
            session={chosen}
            chosen={search.at}
            onChoose={(at) => show({ at })}
            onZoom={zoom}
          />
          <Distribution
            id={meta.id}
            session={chosen}
            stages={stageNames(samples)}
            span={span}
            stage={search.dist}
            onStage={(dist) => show({ dist })}
          />
        </>
      )}
      <div className="grid gap-4 xl:grid-cols-2">
        <Provenance provenance={capture.provenance} />
        <Configuration meta={meta} session={session} />
      </div>
    </div>
  );
}
