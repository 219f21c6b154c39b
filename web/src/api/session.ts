// Signing in and out. A link's secret stands behind `#` and leaves the address before it is used.
import { ApiFailure, api, body, setCsrfToken, type Schemas } from './client';

/** Takes the one-time token of a link out of the address; `null` without one. */
export function takeOneTimeToken(): string | null {
  const match = /^#signin=([0-9A-Za-z_-]+)$/.exec(location.hash);
  if (location.hash.startsWith('#signin')) {
    history.replaceState(null, '', location.pathname + location.search);
  }
  return match?.[1] ?? null;
}

/** The other pages of this browser, which has one session for all of them. */
const others = new BroadcastChannel('session');

/** Called when another page has signed this browser in: `resume` learns the new session. */
export function onSignedInElsewhere(call: () => void): () => void {
  others.addEventListener('message', call);
  return () => others.removeEventListener('message', call);
}

async function keep(answer: Promise<{ data?: Schemas['Identity'] }>): Promise<void> {
  setCsrfToken((await body(answer)).csrf_token ?? null);
}

/** Whether this browser is signed in. */
export async function resume(): Promise<boolean> {
  try {
    await keep(api.GET('/api/v1/auth/session'));
    return true;
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) return false;
    throw error;
  }
}

async function signIn(by: {
  body?: Schemas['SignInRequest'];
  headers?: { authorization: string };
}): Promise<void> {
  await keep(api.POST('/api/v1/auth/session', by));
  others.postMessage(null);
}

export const signInByLink = (token: string) => signIn({ body: { one_time_token: token } });

export const signInByToken = (token: string) =>
  signIn({ headers: { authorization: `Bearer ${token.trim()}` } });

export async function signOut(): Promise<void> {
  await api.DELETE('/api/v1/auth/session');
  setCsrfToken(null);
}
