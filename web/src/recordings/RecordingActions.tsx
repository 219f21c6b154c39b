// What may be done to one recording: take it along, rename it, note something, hold others against it, delete it.
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Ellipsis } from 'lucide-react';
import { DropdownMenu as Menu } from 'radix-ui';
import { useRef, useState, type ReactNode, type RefObject } from 'react';

import type { Schemas } from '@/api/client';
import { m } from '@/paraglide/messages.js';
import { getLocale } from '@/paraglide/runtime.js';
import { Button, Field } from '@/ui/controls';
import { Dialog, useSay } from '@/ui/dialog';
import { explain } from '@/ui/states';
import { clock, moment } from '@/units';
import { baselineQuery, useBaseline, useDelete, useUpdate } from './data';

const ITEM =
  'flex min-h-9 cursor-pointer items-center rounded-md px-3 -outline-offset-2 outline-accent data-highlighted:bg-raised data-highlighted:outline-2';

function Download({ href, name, children }: { href: string; name: string; children: ReactNode }) {
  return (
    <Menu.Item asChild className={ITEM}>
      <a href={href} download={name}>
        {children}
      </a>
    </Menu.Item>
  );
}

export function RecordingActions({
  meta,
  revision,
  compact = false,
}: {
  meta: Schemas['CaptureMeta'];
  revision: string | null | undefined;
  compact?: boolean;
}) {
  const [dialog, setDialog] = useState<'edit' | 'delete'>();
  const baseline = useQuery(baselineQuery);
  const setBaseline = useBaseline();
  const update = useUpdate();
  const trigger = useRef<HTMLButtonElement>(null);
  const say = useSay();
  const base = `/api/v1/stats/recordings/${encodeURIComponent(meta.id)}`;
  const isBaseline = baseline.data?.id === meta.id;
  const tell = { onError: (error: Error) => say(explain(error), 'bad') };
  return (
    <>
      <Menu.Root modal={false}>
        <Menu.Trigger asChild>
          <Button
            ref={trigger}
            look={compact ? 'quiet' : 'plain'}
            className={compact ? 'px-2' : ''}
            aria-label={m.actions()}
          >
            <Ellipsis aria-hidden className="size-4" />
            {!compact && m.actions()}
          </Button>
        </Menu.Trigger>
        {/* Inside the page's main part, for those who go from landmark to landmark. */}
        <Menu.Portal container={document.getElementById('content')}>
          <Menu.Content
            align="end"
            sideOffset={4}
            collisionPadding={8}
            className="card z-40 min-w-52 p-1 shadow-xl"
          >
            <Menu.Item className={ITEM} onSelect={() => setDialog('edit')}>
              {m.edit()}
            </Menu.Item>
            <Menu.Item
              className={ITEM}
              onSelect={() =>
                update.mutate({ id: meta.id, revision, patch: { pinned: !meta.pinned } }, tell)
              }
            >
              {meta.pinned ? m.unpin() : m.pin()}
            </Menu.Item>
            <Menu.Item
              className={ITEM}
              onSelect={() => setBaseline.mutate(isBaseline ? null : meta.id, tell)}
            >
              {isBaseline ? m.baseline_remove() : m.baseline_set()}
            </Menu.Item>
            <Menu.Separator className="my-1 border-t border-line" />
            <Download href={base} name={`${meta.id}.json`}>
              {m.download_json()}
            </Download>
            <Download href={`${base}/csv`} name={`${meta.id}.csv`}>
              {m.download_csv()}
            </Download>
            <Download href={`${base}/csv?of=frames`} name={`${meta.id}_frames.csv`}>
              {m.download_frames()}
            </Download>
            <Download href={`${base}/openmetrics`} name={`${meta.id}.om.txt`}>
              {m.download_openmetrics()}
            </Download>
            <Download href={`${base}/report?language=${getLocale()}`} name={`${meta.id}.html`}>
              {m.download_report()}
            </Download>
            <Menu.Separator className="my-1 border-t border-line" />
            <Menu.Item className={`${ITEM} text-bad`} onSelect={() => setDialog('delete')}>
              {m.delete_()}
            </Menu.Item>
          </Menu.Content>
        </Menu.Portal>
      </Menu.Root>
      <Dialog
        open={dialog === 'edit'}
        onClose={() => setDialog(undefined)}
        title={m.edit()}
        returnTo={trigger}
      >
        <EditForm meta={meta} revision={revision} onDone={() => setDialog(undefined)} />
      </Dialog>
      <DeleteDialog
        open={dialog === 'delete'}
        entries={[{ meta, id: meta.id, revision }]}
        returnTo={trigger}
        onClose={() => setDialog(undefined)}
      />
    </>
  );
}

function EditForm({
  meta,
  revision,
  onDone,
}: {
  meta: Schemas['CaptureMeta'];
  revision: string | null | undefined;
  onDone: () => void;
}) {
  const [label, setLabel] = useState(meta.label ?? '');
  const [note, setNote] = useState(meta.note ?? '');
  const update = useUpdate();
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        update.mutate({ id: meta.id, revision, patch: { label, note } }, { onSuccess: onDone });
      }}
    >
      <Field label={m.label()}>
        <input className="field" value={label} onChange={(event) => setLabel(event.target.value)} />
      </Field>
      <Field label={m.note()}>
        <textarea
          className="field min-h-28"
          value={note}
          onChange={(event) => setNote(event.target.value)}
        />
      </Field>
      {update.isError && (
        <p role="alert" className="break-words text-bad">
          {explain(update.error)}
        </p>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onDone}>{m.cancel()}</Button>
        <Button type="submit" look="primary" disabled={update.isPending}>
          {m.save()}
        </Button>
      </div>
    </form>
  );
}

export interface Doomed {
  id: string;
  revision: string | null | undefined;
  meta: Schemas['CaptureMeta'] | null | undefined;
}

/** Names what goes before it goes. */
export function DeleteDialog({
  open,
  entries,
  onClose,
  onDone,
  returnTo,
}: {
  open: boolean;
  entries: readonly Doomed[];
  onClose: () => void;
  onDone?: () => void;
  returnTo?: RefObject<HTMLElement | null>;
}) {
  const remove = useDelete();
  const say = useSay();
  const navigate = useNavigate();
  const shown = entries.slice(0, 8);
  return (
    <Dialog
      open={open}
      onClose={onClose}
      returnTo={returnTo}
      title={m.delete_title({ count: entries.length })}
      description={m.delete_for_good()}
    >
      <ul className="mb-4 flex flex-col gap-1">
        {shown.map(({ id, meta }) => (
          <li key={id} className="rounded-lg bg-raised px-3 py-2">
            <bdi className="line-clamp-2 font-medium break-words">{meta?.label || id}</bdi>
            <span className="text-sm text-muted">
              {meta ? `${moment(meta.started_unix_ms)} · ${clock(meta.duration_ms)}` : id}
            </span>
          </li>
        ))}
        {entries.length > shown.length && (
          <li className="px-3 text-muted">
            {m.and_more({ count: entries.length - shown.length })}
          </li>
        )}
      </ul>
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>{m.cancel()}</Button>
        <Button
          look="danger"
          disabled={remove.isPending}
          onClick={() =>
            // The row of what goes takes this dialog along: what follows must not hang on it.
            void remove.mutateAsync(entries).then(
              () => {
                say(m.deleted({ count: entries.length }));
                onDone?.();
                // The focus goes to what is there then.
                void navigate({ to: '/recordings' }).then(onClose);
              },
              (error: unknown) => say(explain(error), 'bad'),
            )
          }
        >
          {m.delete_()}
        </Button>
      </div>
    </Dialog>
  );
}
