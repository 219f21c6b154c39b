// Recordings of every shape, names that mean harm, and what screen readers meet.
import { expect, test } from '@playwright/test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Schemas } from '../src/api/client';
import { Host } from './host';
import { flaws, look } from './look';
import { place, record, several } from './recordings';

test.describe.configure({ mode: 'default' });

const HOSTILE = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>';
const RTL = 'שלום ‮ עולם 🎮👨‍👩‍👧‍👦';

let host: Host;
let base: Schemas['Capture'];

test.beforeAll(async () => {
  host = await Host.start();
  base = await record(host);
  write('00-native', (c) => c);
  write('01-gamestream', (c) => {
    c.meta.kind = 'gamestream';
    for (const session of c.meta.sessions) session.protocol = 'gamestream';
    for (const sample of c.samples) rename(sample, 'submit', 'packetize');
  });
  write('02-mixed-three', (c) => several(c, 3, 1));
  write('03-truncated', (c) => (c.meta.truncated = true));
  write('04-interrupted', (c) => {
    c.meta.interrupted = true;
    c.provenance.verified = null;
    delete c.kept_frames;
  });
  write('05-one', (c) => {
    c.samples = c.samples.slice(0, 1);
    c.markers = [];
  });
  write('06-none', (c) => {
    c.samples = [];
    c.markers = [];
    c.meta.sessions = [];
    c.summary.sessions = [];
    c.meta.kind = null;
    delete c.kept_frames;
  });
  write('07-absent', (c) => {
    for (const sample of c.samples) {
      for (const key of ['packets_dropped', 'fec_recovered', 'rtt_us', 'client', 'host'] as const) {
        sample[key] = null;
      }
    }
  });
  write('09-hostile', (c) => {
    c.meta.label = HOSTILE;
    c.meta.note = `${RTL}\n${'W'.repeat(10_000)}`;
    c.meta.client = HOSTILE;
    for (const session of c.meta.sessions) session.client = HOSTILE;
    c.markers = [{ t_ms: 1000, kind: 'operator', text: HOSTILE }];
  });
  write('10-endless', (c) => (c.meta.label = 'x'.repeat(10_000)));
  write('11-rtl', (c) => (c.meta.label = RTL));
  writeFileSync(join(host.captures, '2026-01-01T00-00-00Z_broken.json'), '{"meta": nonsense');
});
test.afterAll(() => host.end());

const idOf = (name: string) => `2026-01-01T00-00-00Z_${name}`;

/** Writes a changed copy of the recording as a file of its own. */
function write(name: string, change: (capture: Schemas['Capture']) => unknown): void {
  const copy = structuredClone(base);
  change(copy);
  copy.meta.id = idOf(name);
  copy.meta.label = copy.meta.label === 'base' ? name : (copy.meta.label ?? name);
  copy.meta.sample_count = copy.samples.length;
  place(host, copy);
}

function rename(sample: Schemas['StatsSample'], from: string, to: string): void {
  for (const stage of sample.stages) if (stage.name === from) stage.name = to;
}

test('each shape is shown, and what cannot be read says why', async ({ page }) => {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  await host.signIn(page, '/recordings');
  const table = page.getByRole('table', { name: 'Recordings' });
  const broken = table.getByRole('row', { name: /broken/ });
  await expect(broken.getByText('Unreadable')).toBeVisible();
  const open = async (name: string) => {
    await page.goto(`${host.url}/recordings/${idOf(name)}`);
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await expect(page.getByRole('region', { name: 'Verdict' })).toBeVisible();
  };
  const stages = page.getByRole('group', { name: /Where the time of a frame goes/ });
  for (const name of ['00-native', '01-gamestream', '05-one', '07-absent']) {
    await open(name);
    await expect(stages).toBeVisible();
  }
  await page.getByText('As a table').first().click();
  await expect(page.getByRole('table', { name: /Where the time/ })).toContainText('–');
  await open('01-gamestream');
  await page.getByText('As a table').first().click();
  await expect(page.getByRole('columnheader', { name: 'packetize' })).toBeVisible();
  await open('02-mixed-three');
  await page.getByLabel('Session').selectOption('s3');
  await expect(page).toHaveURL(/session=s3/);
  await open('03-truncated');
  await expect(page.getByText('A limit cut this recording off', { exact: false })).toBeVisible();
  await open('04-interrupted');
  await expect(page.getByText('The host ended before', { exact: false })).toBeVisible();
  await expect(page.getByText('Counts could not be compared.')).toBeVisible();
  await open('06-none');
  await expect(page.getByText('No samples')).toBeVisible();
  await page.goto(`${host.url}/recordings/no-such`);
  await expect(page.getByRole('alert')).toContainText('not there any more');
  expect(faults).toEqual([]);
});

test('a part of runs is compared alone, any session of each, and the address restores it', async ({
  page,
}) => {
  const ids = `${idOf('00-native')},${idOf('02-mixed-three')}`;
  await host.signIn(page, `/compare?ids=${ids}`);
  await expect(page.getByText('Not the same: Sessions measured (1, 3).')).toBeVisible();
  const graph = page.getByRole('group', { name: /Runs over one another/ });
  await graph.focus();
  await graph.press('ArrowRight');
  await graph.press('+');
  await expect(page).toHaveURL(/from=\d+&to=\d+/);
  const runs = page.getByRole('region', { name: 'Recordings compared' });
  await expect(runs.getByText(/^Of each run, 0:0/)).toBeVisible();
  await expect(runs.getByText('Too short to tell', { exact: false })).toBeVisible();
  await page.getByLabel(/^Session of 2/).selectOption('s3');
  await page.reload();
  await expect(page.getByLabel(/^Session of 2/)).toHaveValue('s3');
  const report = page.getByRole('link', { name: 'Report (HTML)' });
  await expect(report).toHaveAttribute('href', /from_ms=\d+&to_ms=\d+/);
  await graph.focus();
  // Twice as much each time: soon all of it.
  for (let at = 0; at < 4; at++) await graph.press('-');
  await expect(page).not.toHaveURL(/from=/);
});

test('a finger across a graph zooms, one up and down scrolls the page', async ({ browser }) => {
  const context = await browser.newContext({
    hasTouch: true,
    isMobile: true,
    viewport: { width: 390, height: 800 },
  });
  const page = await context.newPage();
  await host.signIn(page, `/recordings/${idOf('00-native')}`);
  const graph = page.getByRole('group', { name: /Where the time of a frame goes/ });
  await graph.scrollIntoViewIfNeeded();
  const box = await graph.boundingBox();
  if (box === null) throw new Error('no graph');
  const input = await context.newCDPSession(page);
  const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', x = 0, y = 0) =>
    input.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: type === 'touchEnd' ? [] : [{ x: box.x + x, y: box.y + y }],
    });
  const swipe = async (dx: number, dy: number) => {
    await touch('touchStart', 120, 150);
    for (let step = 1; step <= 10; step++) {
      await touch('touchMove', 120 + (dx * step) / 10, 150 + (dy * step) / 10);
    }
    await touch('touchEnd');
  };
  const before = await page.evaluate(() => scrollY);
  await swipe(0, -120);
  await expect.poll(() => page.evaluate(() => scrollY)).toBeGreaterThan(before);
  expect(page.url()).not.toContain('from=');
  await page.evaluate((y) => scrollTo(0, y), before);
  await swipe(150, 0);
  await expect(page).toHaveURL(/from=\d+&to=\d+/);
  await context.close();
});

test('names that mean harm do none', async ({ page }) => {
  await host.signIn(page, '/recordings');
  for (const path of [
    '/recordings',
    ...['09-hostile', '10-endless', '11-rtl'].map((name) => `/recordings/${idOf(name)}`),
  ]) {
    await page.goto(host.url + path);
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await page.waitForLoadState('networkidle').catch(() => undefined);
    expect(await page.evaluate(() => 'harmed' in window)).toBe(false);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wide, path).toBeLessThanOrEqual(0);
  }
  await page.goto(`${host.url}/recordings/${idOf('09-hostile')}`);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(HOSTILE);
});

for (const [locale, colorScheme, width] of [
  ['en-US', 'dark', 1440],
  ['de-DE', 'light', 390],
  ['en-US', 'light', 360],
  ['de-DE', 'dark', 1440],
] as const) {
  test(`axe finds nothing: ${locale}, ${colorScheme}, ${String(width)} px`, async ({ browser }) => {
    const pages = [
      '/',
      '/recordings',
      `/recordings/${idOf('00-native')}`,
      `/compare?ids=${idOf('00-native')},${idOf('02-mixed-three')}`,
      '/clients',
    ];
    for (const path of pages) {
      const page = await look(browser, host, path, { locale, colorScheme, width });
      expect.soft(await flaws(page), path).toEqual([]);
      await expect(page.locator('html')).toHaveAttribute('lang', locale.slice(0, 2));
      // All of it is in the language of the page.
      await expect.soft(page.locator('main [lang]')).toHaveCount(0);
      await page.context().close();
    }
  });
}
