// How fast the console is at the sizes it is made for. Figures are printed; bounds leave room for a machine that is busy.
import { expect, test, type Page } from '@playwright/test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Schemas } from '../src/api/client';
import { Host } from './host';
import { place, record, several } from './recordings';

test.describe.configure({ mode: 'default' });

const LONG = '2026-01-01T00-00-00Z_long';
const ROWS = 10_000;

let host: Host;
let small: Schemas['Capture'];

test.beforeAll(async () => {
  host = await Host.start();
  const capture = await record(host);
  small = structuredClone(capture);
  several(capture, 3, 10_800 / capture.samples.length);
  Object.assign(capture.meta, { id: LONG, label: 'long', sample_count: capture.samples.length });
  place(host, capture);
});
test.afterAll(() => host.end());

/** Frames a second that the page draws while something is done, by its own clock. */
async function rateWhile(page: Page, act: () => Promise<void>): Promise<number> {
  await page.evaluate(() => {
    const watch = { times: [] as number[], ends: false };
    const tick = (now: number) => {
      watch.times.push(now);
      if (!watch.ends) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    Object.assign(window, { watch });
  });
  await act();
  return page.evaluate(() => {
    const { watch } = window as unknown as { watch: { times: number[]; ends: boolean } };
    watch.ends = true;
    return (1000 * (watch.times.length - 1)) / ((watch.times.at(-1) ?? 1) - (watch.times[0] ?? 0));
  });
}

const stagesOf = (page: Page) =>
  page.getByRole('group', { name: /Where the time of a frame goes/ });

test('three hours of three sessions open in a second, and cursor and zoom keep up', async ({
  page,
}) => {
  await host.signIn(page, '/recordings');
  const link = page.getByRole('link', { name: 'long' });
  await expect(link).toBeVisible();
  // Cold: neither this page nor the browser has the recording.
  await page.evaluate(() => {
    document.addEventListener(
      'click',
      () => {
        const begun = performance.now();
        const look = () => {
          const [canvas] = document.querySelectorAll('.uplot canvas');
          // The frame after the one that drew it: it is on the screen.
          if (canvas)
            requestAnimationFrame((now) => Object.assign(window, { opened: now - begun }));
          else requestAnimationFrame(look);
        };
        look();
      },
      { once: true, capture: true },
    );
  });
  await link.click();
  const opened = await page.waitForFunction(() => (window as { opened?: number }).opened);
  const ms = (await opened.jsonValue()) ?? Number.NaN;
  const [asked] = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map((entry) => entry.toJSON() as PerformanceResourceTiming)
      .filter(({ name }) => name.includes('distributions=false'))
      .map(({ responseStart, requestStart, responseEnd, encodedBodySize, decodedBodySize }) => ({
        server: Math.round(responseStart - requestStart),
        transfer: Math.round(responseEnd - responseStart),
        encodedBodySize,
        decodedBodySize,
      })),
  );
  console.log(`32,400 samples of three sessions: open ${ms.toFixed(0)} ms`, asked);
  const graph = stagesOf(page);
  await graph.scrollIntoViewIfNeeded();
  const box = await graph.boundingBox();
  if (box === null) throw new Error('no graph');
  const [left, right, y] = [box.x + 80, box.x + box.width - 40, box.y + 100];
  const cursor = await rateWhile(page, async () => {
    await page.mouse.move(left, y);
    await page.mouse.move(right, y, { steps: 120 });
  });
  // In, and out again, three times over.
  const zoom = await rateWhile(page, async () => {
    for (const part of [0.2, 0.4, 0.6]) {
      await page.mouse.move(left + part * (right - left), y);
      await page.mouse.down();
      await page.mouse.move(right, y, { steps: 30 });
      await page.mouse.up();
      await expect(page).toHaveURL(/from=/);
      await graph.dblclick();
      await expect(page).not.toHaveURL(/from=/);
    }
  });
  console.log(`cursor ${cursor.toFixed(0)} fps, zoom ${zoom.toFixed(0)} fps`);
  // What is aimed for is 1000 ms and 50 fps: the machine of a test does other things, too.
  expect(ms).toBeLessThan(3000);
  expect(cursor).toBeGreaterThan(30);
  expect(zoom).toBeGreaterThan(20);
});

test('the first view is there in half a second', async ({ page }) => {
  await host.signIn(page);
  for (const path of ['/', '/recordings', '/clients']) {
    await page.goto(host.url + path);
    await expect(page.getByRole('heading', { level: 1 })).toBeAttached();
    const seen = await page.evaluate(
      () =>
        new Promise<{ paint: number; loaded: number }>((done) => {
          new PerformanceObserver((list, observer) => {
            const [paint] = list.getEntriesByName('first-contentful-paint');
            if (paint === undefined) return;
            observer.disconnect();
            const [load] = performance.getEntriesByType(
              'navigation',
            ) as PerformanceNavigationTiming[];
            done({ paint: paint.startTime, loaded: load?.domContentLoadedEventEnd ?? Number.NaN });
          }).observe({ type: 'paint', buffered: true });
        }),
    );
    console.log(
      `${path}: first paint after ${seen.paint.toFixed(0)} ms, loaded after ${seen.loaded.toFixed(0)} ms`,
    );
    // Aimed for: 500 ms.
    expect(seen.paint).toBeLessThan(1500);
  }
});

test('ten thousand recordings are scrolled smoothly', async ({ page }) => {
  const { schema_version, meta, ...rest } = small;
  rest.samples = rest.samples.slice(0, 1);
  rest.markers = [];
  delete rest.kept_frames;
  const end = JSON.stringify(rest).slice(1);
  for (let at = 0; at < ROWS; at++) {
    const id = `2025-01-01T00-00-00Z_${String(at).padStart(5, '0')}`;
    const head = JSON.stringify({
      schema_version,
      meta: { ...meta, id, label: `run ${String(at)}` },
    });
    writeFileSync(join(host.captures, `${id}.json`), `${head.slice(0, -1)},${end}`);
  }
  await host.signIn(page);
  const begun = Date.now();
  await page.getByRole('link', { name: 'Recordings', exact: true }).first().click();
  const table = page.getByRole('table', { name: 'Recordings' });
  await expect(table).toHaveAttribute('aria-rowcount', /^\d{5}$/, { timeout: 30_000 });
  const listed = Date.now() - begun;
  const box = await table.boundingBox();
  if (box === null) throw new Error('no table');
  await page.mouse.move(box.x + box.width / 2, 500);
  const rate = await rateWhile(page, async () => {
    for (let turn = 0; turn < 120; turn++) await page.mouse.wheel(0, 400);
  });
  console.log(
    `${String(ROWS)} recordings: listed after ${String(listed)} ms, scrolled at ${rate.toFixed(0)} fps`,
  );
  expect(await table.getByRole('row').count()).toBeLessThan(200);
  expect(rate).toBeGreaterThan(25);
});
