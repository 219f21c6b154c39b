// The one way to the API: typed by its document, signed in by the session's cookie, every failure of one shape.
import createClient, { type Middleware } from 'openapi-fetch';

import type { components, paths } from './schema';

export type Schemas = components['schemas'];

/** An answer that is no success, or none at all (`status` 0: the host cannot be reached). */
export class ApiFailure extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'ApiFailure';
  }
}

let csrfToken: string | null = null;
let whenSignedOut: () => void = () => undefined;

/** What every change carries from now on. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** Called when the host knows this session no more. */
export function onSignedOut(call: () => void): void {
  whenSignedOut = call;
}

const guard: Middleware = {
  onRequest({ request }) {
    if (csrfToken !== null && request.method !== 'GET') {
      request.headers.set('x-csrf-token', csrfToken);
    }
    return request;
  },
  async onResponse({ response, schemaPath }) {
    if (response.ok || response.status === 304) return undefined;
    if (response.status === 401 && schemaPath !== '/api/v1/auth/session') whenSignedOut();
    throw new ApiFailure(response.status, await reason(response));
  },
  onError({ error }) {
    return error instanceof ApiFailure ? error : new ApiFailure(0, String(error));
  },
};

export const api = createClient<paths>();
api.use(guard);

async function reason(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as Partial<Schemas['ErrorBody']>;
    return body.error ?? response.statusText;
  } catch {
    return response.statusText;
  }
}

/** The body of an answer that has one: a failure was thrown before. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  if (data === undefined) throw new ApiFailure(0, 'empty answer');
  return data;
}
