// What lets somebody in is left behind nowhere: not in the host's log and files, not in addresses, headers, the history or
// what the page keeps, not in what is taken along.
import { expect, test } from '@playwright/test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Host } from './host';
import { record } from './recordings';

let host: Host;
test.beforeAll(async () => {
  host = await Host.start({ RUST_LOG: 'trace' });
  await record(host, 2);
});
test.afterAll(() => host.end());

/** Text in which one of the secrets stands, by its name. */
function holding(texts: ReadonlyMap<string, string>, secrets: ReadonlyMap<string, string>) {
  return [...texts].flatMap(([where, text]) =>
    [...secrets].flatMap(([name, secret]) => (text.includes(secret) ? [`${name}: ${where}`] : [])),
  );
}

test('what lets in is in no log, file, address, header, storage, history or download', async ({
  page,
}) => {
  const texts = new Map<string, string>();
  // What went over the wire; Playwright's own `allHeaders` waits for ever for a request that was cut off.
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Network.enable');
  const sent: Record<string, string>[] = [];
  cdp.on('Network.requestWillBeSentExtraInfo', ({ headers }) => {
    const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    sent.push(Object.fromEntries(named) as Record<string, string>);
  });
  page.on('request', (request) => texts.set(`request ${String(texts.size)}`, request.url()));
  page.on('console', (message) => texts.set(`console ${String(texts.size)}`, message.text()));
  const secrets = new Map([['operator’s token', host.token]]);
  const keep = async (name: string) => {
    const [cookie] = await page.context().cookies();
    secrets.set(`cookie ${name}`, cookie?.value ?? '');
    const csrf = await page.evaluate(async () => {
      const me = (await (await fetch('/api/v1/auth/session')).json()) as { csrf_token: string };
      return me.csrf_token;
    });
    secrets.set(`CSRF token ${name}`, csrf);
  };
  const card = page.getByRole('region', { name: 'Capture' });

  await page.goto(host.url);
  await page.getByLabel('Operator’s token').fill(host.token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(card).toBeVisible();
  await keep('by token');
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Operator’s token')).toBeVisible();

  const link = await host.link();
  secrets.set('link', link.split('#signin=')[1] ?? '');
  await page.goto('about:blank');
  await page.goto(link);
  await expect(card).toBeVisible();
  await keep('by link');
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Sign in a phone' }).click();
  const shown = page.waitForResponse('**/api/v1/auth/links');
  await page.getByRole('button', { name: 'Show the code' }).click();
  const { url } = (await (await shown).json()) as { url: string };
  secrets.set('link for a phone', url.split('#signin=')[1] ?? '');
  await expect(page.getByRole('img', { name: 'QR code that signs a phone in' })).toBeVisible();
  await page.keyboard.press('Escape');

  const navigation = page.getByRole('navigation');
  for (const name of ['Clients', 'Performance', 'Recordings']) {
    await navigation.getByRole('link', { name, exact: true }).click();
    await expect(page.getByRole('heading', { level: 1, name })).toBeAttached();
  }
  for (const name of ['JSON', 'CSV', 'OpenMetrics', 'Report (HTML)']) {
    await page.getByRole('button', { name: 'Actions' }).click();
    const taken = page.waitForEvent('download');
    await page.getByRole('menuitem', { name }).first().click();
    const download = await taken;
    texts.set(`download ${name}`, readFileSync(await download.path(), 'utf8'));
    texts.set(`address of ${name}`, download.url() + download.suggestedFilename());
  }
  await page.getByRole('table').getByRole('link', { name: 'base' }).click();
  await expect(page.getByRole('region', { name: 'Verdict' })).toBeVisible();
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('link', { name: 'API' }).click();
  await expect(
    page.getByRole('heading', { level: 1 }).or(page.locator('h2')).first(),
  ).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('region', { name: 'Verdict' })).toBeVisible();

  for (const { cookie, 'x-csrf-token': csrf, authorization, ...rest } of sent) {
    texts.set(`headers ${String(texts.size)}`, JSON.stringify(rest));
    // Where they belong: never to somebody else.
    if (rest['host'] !== new URL(host.url).host)
      expect([cookie, csrf, authorization]).toEqual([undefined, undefined, undefined]);
    expect(rest['referer'] ?? '').not.toContain('#');
  }
  expect(sent.length).toBeGreaterThan(30);
  expect(sent.filter(({ cookie }) => cookie !== undefined).length).toBeGreaterThan(10);
  const kept = await page.evaluate(() => ({
    cookie: document.cookie,
    storage: [Object.entries(localStorage), Object.entries(sessionStorage)],
    addresses: performance.getEntries().map(({ name }) => name),
    name: window.name,
    referrer: document.referrer,
    history: history.state as unknown,
    page: document.documentElement.outerHTML,
  }));
  expect(kept.cookie).toBe('');
  for (const [where, text] of Object.entries(kept)) texts.set(where, JSON.stringify(text));
  const { entries } = await cdp.send('Page.getNavigationHistory');
  expect(entries.length).toBeGreaterThan(4);
  for (const { id, url: address, title } of entries)
    texts.set(`history ${String(id)}`, address + title);
  for (let left = entries.length; left > 0 && page.url() !== 'about:blank'; left -= 1) {
    texts.set(`back ${String(left)}`, page.url());
    await page.goBack();
  }

  // The browser itself remembers what was typed into its address bar: the link that was used up opens nothing.
  const again = await fetch(`${host.url}/api/v1/auth/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ one_time_token: secrets.get('link') }),
  });
  expect(again.status).toBe(401);

  await host.down('SIGTERM');
  expect(host.log).toContain('TRACE');
  texts.set('log', host.log);
  for (const entry of readdirSync(host.directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === 'mgmt-token') continue;
    texts.set(`file ${entry.name}`, readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  }
  expect([...secrets].filter(([, secret]) => !/^[0-9A-Za-z_-]{32,}$/.test(secret))).toEqual([]);
  expect(holding(texts, secrets)).toEqual([]);
});
