// Signing in and out. A link's secret stands behind `#` and leaves the address before it is used.
import { ApiFailure, api, body, setCsrfToken } from './client';

/** Takes the one-time token of a link out of the address; `null` without one. */
export function takeOneTimeToken(): string | null {
  const match = /^#signin=([0-9A-Za-z_-]+)$/.exec(location.hash);
  if (location.hash.startsWith('#signin')) {
    history.replaceState(null, '', location.pathname + location.search);
  }
  return match?.[1] ?? null;
}

async function keep(answer: Promise<{ data?: { csrf_token?: string | null } }>): Promise<true> {
  const identity = await body(answer);
  setCsrfToken(identity.csrf_token ?? null);
  return true;
}

/** Whether this browser is signed in. */
export async function resume(): Promise<boolean> {
  try {
    return await keep(api.GET('/api/v1/auth/session'));
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) return false;
    throw error;
  }
}

export async function signInByLink(token: string): Promise<true> {
  return keep(api.POST('/api/v1/auth/session', { body: { one_time_token: token } }));
}

export async function signInByToken(token: string): Promise<true> {
  return keep(
    api.POST('/api/v1/auth/session', { headers: { authorization: `Bearer ${token.trim()}` } }),
  );
}

export async function signOut(): Promise<void> {
  await api.DELETE('/api/v1/auth/session');
  setCsrfToken(null);
}
