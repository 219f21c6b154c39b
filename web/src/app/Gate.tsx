// Lets in who is signed in, and shows the sign-in page to everybody else.
import { onlineManager, useQueryClient } from '@tanstack/react-query';
import { KeyRound } from 'lucide-react';
import { useCallback, useEffect, useState, type ReactNode } from 'react';

import { ApiFailure, onSignedOut } from '@/api/client';
import { follow } from '@/api/live';
import {
  onSignedInElsewhere,
  resume,
  signInByLink,
  signInByToken,
  takeOneTimeToken,
} from '@/api/session';
import { m } from '@/paraglide/messages.js';
import { Button, Field } from '@/ui/controls';
import { Failure, Loading, Notice, explain } from '@/ui/states';
import { LanguageChoice } from './Settings';

/** `why` says it in the language of the moment. */
type Phase = { is: 'asking' } | { is: 'in' } | { is: 'out'; why?: () => string } | { is: 'down' };

// A link lets in once: the page may be drawn anew, the link is not used anew.
let begun: Promise<Phase> | undefined;

async function begin(oneTimeToken: string | null): Promise<Phase> {
  try {
    if (await resume()) return { is: 'in' };
    if (oneTimeToken === null) return { is: 'out' };
    await signInByLink(oneTimeToken);
    return { is: 'in' };
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) {
      return { is: 'out', why: m.sign_in_link_used };
    }
    return error instanceof ApiFailure && error.status === 0
      ? { is: 'down' }
      : { is: 'out', why: () => explain(error) };
  }
}

export function Gate({
  oneTimeToken,
  children,
}: {
  oneTimeToken: string | null;
  children: ReactNode;
}) {
  const [phase, setPhase] = useState<Phase>({ is: 'asking' });
  const [wasIn, setWasIn] = useState(false);
  if (phase.is === 'in' && !wasIn) setWasIn(true);
  const queries = useQueryClient();

  const enter = useCallback(
    (next: Phase) => {
      begun = Promise.resolve(next);
      setPhase(next);
      if (next.is === 'in') {
        onlineManager.setOnline(true);
        void queries.invalidateQueries();
      }
    },
    [queries],
  );
  useEffect(() => {
    begun ??= begin(oneTimeToken);
    void begun.then(setPhase);
    onSignedOut(() => {
      // Nothing is asked until somebody signs in; what is typed on the page stays.
      onlineManager.setOnline(false);
      enter({ is: 'out', why: m.sign_in_ended });
    });
  }, [oneTimeToken, enter]);
  useEffect(() => {
    // A link that is opened where the page is shown already loads nothing anew.
    const use = () => {
      const token = takeOneTimeToken();
      if (token !== null) void begin(token).then(enter);
    };
    addEventListener('hashchange', use);
    return () => removeEventListener('hashchange', use);
  }, [enter]);

  useEffect(() => onSignedInElsewhere(() => void begin(null).then(enter)), [enter]);

  const isIn = phase.is === 'in';
  useEffect(() => (isIn ? follow() : undefined), [isIn]);

  switch (phase.is) {
    case 'asking':
      return <Loading what="Punktfunk" />;
    case 'down':
      return <Failure error={new ApiFailure(0, '')} again={() => location.reload()} />;
    case 'in':
    case 'out':
      return (
        <>
          {phase.is === 'out' && (
            <SignIn why={phase.why?.()} onSignedIn={() => enter({ is: 'in' })} />
          )}
          {wasIn && <div hidden={phase.is === 'out'}>{children}</div>}
        </>
      );
  }
}

function SignIn({ why, onSignedIn }: { why: string | undefined; onSignedIn: () => void }) {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState<unknown>();
  const [busy, setBusy] = useState(false);

  async function submit() {
    setBusy(true);
    try {
      await signInByToken(token);
      onSignedIn();
    } catch (error) {
      setProblem(error);
    } finally {
      setBusy(false);
    }
  }

  const isWrong = problem instanceof ApiFailure && problem.status === 401;
  const shown = problem === undefined ? why : isWrong ? m.sign_in_wrong_token() : explain(problem);
  return (
    <main className="mx-auto flex min-h-dvh max-w-md flex-col justify-center gap-6 p-4">
      <div className="flex items-center gap-3">
        <img src="/icon.svg" alt="" className="size-10" />
        <h1>{m.sign_in_title()}</h1>
      </div>
      {shown !== undefined && <Notice tone="bad">{shown}</Notice>}
      <form
        className="card flex flex-col gap-4 p-5"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p className="text-muted">{m.sign_in_by_link()}</p>
        <code className="overflow-x-auto rounded-lg bg-raised px-3 py-2 text-sm">
          punktfunk-host ctl console --qr
        </code>
        <Field label={m.sign_in_token()}>
          <input
            className="field"
            type="password"
            autoComplete="off"
            required
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </Field>
        <p className="text-sm text-muted">{m.sign_in_token_where()}</p>
        <Button type="submit" look="primary" disabled={busy || token.trim() === ''}>
          <KeyRound aria-hidden className="size-4" />
          {m.sign_in()}
        </Button>
      </form>
      <div>
        <LanguageChoice />
      </div>
    </main>
  );
}
