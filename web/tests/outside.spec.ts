// The console as others meet it: over the network, from pages of other origins, and by what is left behind.
import { expect, test, type Page } from '@playwright/test';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

import type { Schemas } from '../src/api/client';
import { Host } from './host';
import { record } from './recordings';

test.describe.configure({ mode: 'default' });

let host: Host;
let base: Schemas['Capture'];
test.beforeAll(async () => {
  host = await Host.start();
  base = await record(host, 2);
});
test.afterAll(() => host.end());

test('on a network address the console is served over TLS alone, and its cookie keeps to it', async ({
  browser,
}) => {
  const remote = await Host.start({}, '0.0.0.0');
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  try {
    const link = await remote.link();
    expect(link).toMatch(/^https:\/\/[\d.]+:\d+\/#signin=/);
    const page = await context.newPage();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(link);
    const card = page.getByRole('region', { name: 'Capture' });
    await expect(card.getByText('Idle')).toBeVisible();
    expect(await context.cookies()).toEqual([
      expect.objectContaining({
        name: `__Host-punktfunk-${String(remote.port)}`,
        domain: new URL(link).hostname,
        path: '/',
        secure: true,
        httpOnly: true,
        sameSite: 'Strict',
      }),
    ]);
    await remote.ctl('start', '--label', 'by ctl');
    await expect(card.getByText('by ctl')).toBeVisible({ timeout: 1000 });
    await remote.ctl('stop');
    expect(asked.filter((url) => url.endsWith('/capture/stream'))).toHaveLength(1);
    expect(asked.filter((url) => url.endsWith('/capture/live'))).toEqual([]);

    const plain = link.replace(/^https/, 'http').replace(/#.*/, '');
    await expect(page.goto(plain)).rejects.toThrow(/ERR_/);
    expect(await spoken(remote.port, `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)).not.toContain(
      'HTTP/',
    );
  } finally {
    await context.close();
    await remote.end();
  }
});

/** What a port says to bytes, until it ends the connection. */
function spoken(port: number, bytes: string): Promise<string> {
  return new Promise((done) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (part) => (text += part.toString('latin1')));
    socket.on('error', () => done(text));
    socket.on('close', () => done(text));
  });
}

/** What nobody but the operator may change. */
async function whole(): Promise<unknown> {
  const { state, id, label } = (await host.ctl('status')) as Schemas['StatsStatus'];
  const { recordings } = (await host.ctl('recordings', 'list')) as Schemas['RecordingList'];
  const read = async (path: string) =>
    (
      await fetch(host.url + path, { headers: { authorization: `Bearer ${host.token}` } })
    ).json() as Promise<{ markers?: unknown }>;
  return {
    capture: { state, id, label },
    markers: (await read('/api/v1/stats/capture/live')).markers,
    recordings: recordings.map((one) => [one.id, one.revision]),
    baseline: await read('/api/v1/stats/baseline'),
    clients: ((await host.ctl('clients', 'list')) as { id: string }[]).map(({ id }) => id),
  };
}

/** A page of another port, which no policy of ours holds back. */
async function elsewhere(): Promise<{ server: Server; port: number }> {
  const server = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html').end('<!doctype html><title>other</title>');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, port: (server.address() as AddressInfo).port };
}

/** Tries what a page can try; says what it got hold of. */
async function attack(page: Page, url: string, id: string): Promise<string[]> {
  return page.evaluate(
    async ({ url, id }) => {
      const got: string[] = [];
      const wait = (element: HTMLElement, what: string) =>
        new Promise<void>((done) => {
          element.addEventListener('error', () => done());
          element.addEventListener('load', () => {
            if (what !== '') got.push(what);
            done();
          });
          document.body.append(element);
        });
      const api = `${url}/api/v1`;
      const own = `${api}/stats/recordings/${id}`;
      const reads = [`${api}/stats/recordings`, own, `${own}/report`, `${api}/auth/session`];
      const changes = [
        [`${api}/stats/capture/start`, 'POST'],
        [`${api}/stats/capture/stop`, 'POST'],
        [`${api}/stats/capture/markers`, 'POST'],
        [`${api}/stats/recordings`, 'POST'],
        [`${api}/auth/links`, 'POST'],
        [`${api}/auth/session`, 'POST'],
        [`${api}/auth/session`, 'DELETE'],
        [`${api}/stats/baseline`, 'PUT'],
        [own, 'PATCH'],
        [own, 'DELETE'],
      ] as const;
      for (const address of reads) {
        for (const mode of ['cors', 'no-cors'] as const) {
          try {
            const answer = await fetch(address, { mode, credentials: 'include' });
            got.push(`${mode} ${address} ${String(answer.status)} ${await answer.text()}`);
          } catch {
            // Refused.
          }
        }
        await wait(Object.assign(new Image(), { src: address }), `picture ${address}`);
        const script = document.createElement('script');
        await wait(Object.assign(script, { src: address }), `script ${address}`);
        const style = document.createElement('link');
        await wait(
          Object.assign(style, { rel: 'stylesheet', href: address }),
          `style sheet ${address}`,
        );
      }
      for (const [address, method] of changes) {
        for (const type of [undefined, 'text/plain', 'application/json']) {
          for (const mode of ['cors', 'no-cors'] as const) {
            const headers = type === undefined ? undefined : { 'content-type': type };
            try {
              const answer = await fetch(address, {
                method,
                mode,
                credentials: 'include',
                body: '{}',
                ...(headers && { headers }),
              });
              got.push(`${mode} ${method} ${address} ${String(answer.status)}`);
            } catch {
              // Refused.
            }
          }
        }
        if (method !== 'POST') continue;
        navigator.sendBeacon(address, '{}');
        for (const enctype of [
          'application/x-www-form-urlencoded',
          'multipart/form-data',
          'text/plain',
        ]) {
          const frame = document.createElement('iframe');
          frame.name = `f${String(document.querySelectorAll('iframe').length)}`;
          document.body.append(frame);
          const form = document.createElement('form');
          Object.assign(form, { action: address, method, enctype, target: frame.name });
          const field = document.createElement('input');
          Object.assign(field, { name: '{"a":"', value: '"}' });
          form.append(field);
          document.body.append(form);
          const gone = new Promise((done) => frame.addEventListener('load', done));
          form.submit();
          await gone;
        }
      }
      await new Promise<void>((done) => {
        const events = new EventSource(`${api}/stats/capture/stream`, { withCredentials: true });
        events.addEventListener('status', (event: MessageEvent<string>) => {
          got.push(`event ${event.data}`);
          done();
        });
        events.addEventListener('error', () => {
          events.close();
          done();
        });
      });
      const frame = document.createElement('iframe');
      await wait(Object.assign(frame, { src: `${url}/recordings`, name: 'console' }), '');
      return got;
    },
    { url, id },
  );
}

for (const [whose, name] of [
  ['another port of this machine, which the cookie goes along with', '127.0.0.1'],
  ['another site', 'localhost'],
] as const) {
  test(`a page of ${whose} can neither read nor change anything`, async ({ page }) => {
    await host.signIn(page);
    await host.ctl('start', '--label', 'untouched');
    const other = await elsewhere();
    try {
      const before = await whole();
      let sent = 0;
      const refused: string[] = [];
      const answers = new Set<number>();
      page.on('console', (message) => refused.push(message.text()));
      const ours = `${host.url}/api/v1/`;
      page.on('request', (request) => (sent += request.url().startsWith(ours) ? 1 : 0));
      page.on('response', (response) => {
        const [url, method] = [response.url(), response.request().method()];
        // Signing in needs no session, and is refused for where it comes from.
        const signsIn = method === 'POST' && url === `${ours}auth/session`;
        if (url.startsWith(ours) && !(signsIn && response.status() === 403))
          answers.add(response.status());
      });
      await page.goto(`http://${name}:${String(other.port)}/`);
      expect(await attack(page, host.url, base.meta.id)).toEqual([]);
      await expect
        .poll(() => refused.filter((text) => text.includes('frame-ancestors')))
        .not.toEqual([]);
      await expect(page.frameLocator('[name=console]').locator('#root')).toHaveCount(0);
      expect(sent).toBeGreaterThan(70);
      // Whoever shows the session's cookie is told apart from whoever shows none.
      expect([...answers]).toEqual([name === '127.0.0.1' ? 403 : 401]);

      // A link to an answer of the API: what another page leads to is not given.
      const list = `${ours}stats/recordings`;
      const followed = page.waitForResponse(list);
      await page.evaluate((url) => location.assign(url), list);
      expect((await followed).status()).toBe(name === '127.0.0.1' ? 403 : 401);
      await page.waitForURL(list);
      expect(await whole()).toEqual(before);
    } finally {
      other.server.close();
      await host.ctl('stop');
    }
    // Nobody was signed out by it either.
    await page.goto(host.url);
    await expect(page.getByRole('region', { name: 'Capture' })).toBeVisible();
  });
}

test('a name that is turned to this address is not answered', async ({ page, playwright }) => {
  await host.signIn(page);
  const [cookie] = await page.context().cookies();
  const said = await spoken(
    host.port,
    [
      'GET /api/v1/stats/recordings HTTP/1.1',
      `Host: evil.example:${String(host.port)}`,
      `Cookie: ${cookie?.name ?? ''}=${cookie?.value ?? ''}`,
      `Authorization: Bearer ${host.token}`,
      'Connection: close\r\n\r\n',
    ].join('\r\n'),
  );
  expect(said).toMatch(/^HTTP\/1\.1 421 /);
  expect(said).not.toContain(base.meta.id);

  const { executablePath, args = [] } = test.info().project.use.launchOptions ?? {};
  const deceived = await playwright.chromium.launch({
    ...(executablePath !== undefined && { executablePath }),
    args: [...args, '--host-resolver-rules=MAP evil.example 127.0.0.1'],
  });
  try {
    const there = await deceived.newPage();
    for (const path of ['/', '/docs', '/api/v1/health', '/api/v1/stats/recordings', '/metrics']) {
      const answer = await there.goto(`http://evil.example:${String(host.port)}${path}`);
      expect(answer?.status(), path).toBe(421);
    }
  } finally {
    await deceived.close();
  }
});

test('a change takes the session’s own CSRF token beside its cookie', async ({ page, browser }) => {
  await host.signIn(page);
  const another = await browser.newContext();
  const theirs = await another.newPage();
  await host.signIn(theirs);
  const token = async (of: Page) =>
    of.evaluate(async () => {
      const me = (await (await fetch('/api/v1/auth/session')).json()) as { csrf_token: string };
      return me.csrf_token;
    });
  const [own, wrong] = [await token(page), await token(theirs)];
  await another.close();
  const start = (csrf: string | undefined) =>
    page.evaluate(async (given) => {
      const headers = new Headers({ 'content-type': 'application/json' });
      if (given !== undefined) headers.set('x-csrf-token', given);
      const init = { method: 'POST', headers, body: '{}' };
      return (await fetch('/api/v1/stats/capture/start', init)).status;
    }, csrf);
  const before = await whole();
  for (const given of [undefined, '', wrong, own.slice(1), `${own}0`]) {
    expect(await start(given)).toBe(403);
  }
  // A browser that says nothing of who asks is no way around it.
  const [cookie] = await page.context().cookies();
  const bare = await fetch(`${host.url}/api/v1/stats/capture/start`, {
    method: 'POST',
    headers: { cookie: `${cookie?.name ?? ''}=${cookie?.value ?? ''}` },
  });
  expect(bare.status).toBe(403);
  expect(await whole()).toEqual(before);
  expect(await start(own)).toBe(200);
  await host.ctl('stop');
});
