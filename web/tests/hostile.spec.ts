// Names that mean harm, in the report that is sent to somebody, and as names of clients that really stream.
import { expect, test } from '@playwright/test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Schemas } from '../src/api/client';
import { Host } from './host';
import { excess, flaws, look, open, reader } from './look';
import { place, record } from './recordings';

test.describe.configure({ mode: 'default' });

const MARKUP = '<img src=x onerror="window.harmed=1"></style></title><script>harmed=1</script>';
const LINK = 'javascript:window.harmed=1//"onload="window.harmed=1" \'><svg/onload=harmed=1>';
const STYLE = '</style><link rel=stylesheet href=http://127.0.0.1:9/>{{harmed=1}}${harmed=1}';
const RTL = 'שלום ‮ עולם 🎮👨‍👩‍👧‍👦';
const LONG = 'W'.repeat(10_000);

let host: Host;
let base: Schemas['Capture'];
test.beforeAll(async () => {
  host = await Host.start();
  base = await record(host, 3);
});
test.afterAll(() => host.end());

function harm(c: Schemas['Capture'], label: string): void {
  c.meta.label = label;
  c.meta.note = `${MARKUP}\n${RTL}\n${LONG}\n${LINK}`;
  c.meta.client = MARKUP;
  c.meta.host = { ...c.meta.host, os: MARKUP, cpu: RTL };
  for (const session of c.meta.sessions) {
    Object.assign(session, {
      id: STYLE,
      client: LINK,
      codec: MARKUP,
      encoder: RTL,
      source_kind: LONG,
    });
  }
  for (const sample of c.samples) sample.session_id = STYLE;
  for (const session of c.summary.sessions) session.session_id = STYLE;
  const stages = [
    ...c.meta.sessions.flatMap((session) => session.stages),
    ...c.samples.flatMap((sample) => sample.stages),
    ...c.summary.sessions.flatMap(({ figures }) => figures.stages),
  ];
  for (const stage of stages) if (stage.name === 'encode') stage.name = MARKUP;
  c.markers = [MARKUP, LINK, RTL, LONG].map((text, at) => ({
    t_ms: 500 * (at + 1),
    kind: 'operator',
    session_id: STYLE,
    text,
  }));
}

/** Writes an answer of the host into a file, as a download does. */
async function taken(path: string, name: string): Promise<string> {
  const answer = await fetch(host.url + path, {
    headers: { authorization: `Bearer ${host.token}` },
  });
  expect(answer.status).toBe(200);
  const file = join(host.directory, name);
  writeFileSync(file, await answer.text());
  return pathToFileURL(file).href;
}

test('a report does no harm and reads well wherever it is opened', async ({ browser }) => {
  const ids = [MARKUP, LINK, RTL, LONG].map((label, at) => {
    const copy = structuredClone(base);
    harm(copy, label);
    copy.meta.id = `2026-01-0${String(at + 1)}T00-00-00Z_harm`;
    place(host, copy);
    return copy.meta.id;
  });
  const report = (id: string) => taken(`/api/v1/stats/recordings/${id}/report`, `${id}.html`);
  const plain = await report(base.meta.id);
  const comparison = await taken(`/api/v1/stats/compare/report?ids=${ids.join(',')}`, 'all.html');
  const harming = await Promise.all(ids.map(report));
  for (const [colorScheme, width] of [
    ['light', 1440],
    ['dark', 390],
  ] as const) {
    const page = await reader(browser, { locale: 'en-US', colorScheme, width });
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('dialog', (dialog) => asked.push(dialog.message()));
    for (const file of [plain, comparison, ...harming]) {
      asked.length = 0;
      await page.goto(file);
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      expect(await page.evaluate(() => 'harmed' in window)).toBe(false);
      expect(await page.title()).not.toContain('\n');
      const all = file === comparison || file === harming[0];
      expect.soft(all ? await flaws(page) : await excess(page), file).toEqual(all ? [] : 0);
      // The width of A4 between its margins.
      await page.emulateMedia({ media: 'print' });
      await page.setViewportSize({ width: 718, height: 1000 });
      expect.soft(await excess(page), `${file} printed`).toBe(0);
      await page.emulateMedia({ media: 'screen' });
      await page.setViewportSize({ width, height: 850 });
      expect(asked).toEqual([file]);
    }
    await page.context().close();
  }
});

test('clients with names that mean harm are let in, stream and are shown', async ({ browser }) => {
  // As long as a name may be.
  const names = [MARKUP, LINK, RTL, 'W'.repeat(100)];
  const clients = [];
  for (const name of names) {
    await host.pair(name);
    clients.push(await host.stream(name));
  }
  await host.ctl('start', '--label', 'guests');
  const page = await look(browser, host, '/clients', {
    locale: 'en-US',
    colorScheme: 'light',
    width: 360,
  });
  const sessions = page.getByRole('region', { name: 'Live sessions' }).getByRole('listitem');
  await expect(sessions).toHaveCount(names.length);
  await expect(sessions.getByRole('img')).toHaveCount(names.length);
  const paired = page.getByRole('region', { name: 'Paired clients' });
  for (const name of names) await expect(paired.getByText(name, { exact: true })).toBeVisible();
  expect.soft(await flaws(page), 'clients').toEqual([]);
  await paired.getByRole('button', { name: 'Revoke' }).last().click();
  await expect(page.getByRole('dialog')).toContainText('WWWW');
  expect.soft(await flaws(page), 'revoke').toEqual([]);
  await page.keyboard.press('Escape');

  await open(page, host.url);
  await expect(page.getByRole('group', { name: /Where the time of a frame goes/ })).toBeVisible();
  expect.soft(await flaws(page), 'live').toEqual([]);
  await expect
    .poll(async () => ((await host.ctl('status')) as { sample_count: number }).sample_count)
    .toBeGreaterThan(8);
  const { id } = (await host.ctl('stop')) as { id: string };
  await open(page, `${host.url}/recordings`);
  expect.soft(await flaws(page), 'recordings').toEqual([]);
  await open(page, `${host.url}/recordings/${id}`);
  await expect(page.getByRole('region', { name: 'Verdict' })).toBeVisible();
  await page.getByLabel('Session').selectOption({ index: 3 });
  expect.soft(await flaws(page), 'recording').toEqual([]);
  expect(await page.evaluate(() => 'harmed' in window)).toBe(false);
  for (const client of clients) client.kill();
  await page.context().close();
});
