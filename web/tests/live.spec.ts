// The live page over time: what it keeps, and what it costs the host. SOAK_PAGE_SECONDS says how long; `make soak` takes longer.
import { expect, test, type CDPSession } from '@playwright/test';

import { Host } from './host';

const SECONDS = Number(process.env['SOAK_PAGE_SECONDS'] ?? 60);
/** The page keeps so much of a run; until then it grows by its samples. */
const FULL_SECONDS = 660;
/** Samples that came in between, and what the engine keeps of compiled code. */
const GROWTH_MB = 3;
const ALONE_SECONDS = 15;

const sleep = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000));

let host: Host;
test.beforeAll(async () => {
  host = await Host.start();
  await host.pair('Deck');
});
test.afterAll(() => host.end());

/** What the page holds after a collection. */
async function held(cdp: CDPSession) {
  await cdp.send('HeapProfiler.collectGarbage');
  await cdp.send('HeapProfiler.collectGarbage');
  const { metrics } = await cdp.send('Performance.getMetrics');
  const of = (name: string) => metrics.find((one) => one.name === name)?.value ?? Number.NaN;
  return {
    heapMb: of('JSHeapUsedSize') / 2 ** 20,
    nodes: of('Nodes'),
    listeners: of('JSEventListeners'),
  };
}

/** Share of a core that the host takes while something is waited for. */
async function cost(wait: () => Promise<unknown>): Promise<number> {
  const [began, cpu] = [performance.now(), host.cpuSeconds];
  await wait();
  return (host.cpuSeconds - cpu) / ((performance.now() - began) / 1000);
}

test('the live page keeps its memory and costs the host next to nothing', async ({ page }) => {
  test.setTimeout((SECONDS + 120) * 1000);
  const client = await host.stream('Deck');
  await host.ctl('start', '--label', 'soak', '--max-duration', String(SECONDS + 120));
  await sleep(5);
  const alone = await cost(() => sleep(ALONE_SECONDS));

  await page.goto(await host.link());
  await expect(page.getByRole('group', { name: /Where the time of a frame goes/ })).toBeVisible();
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable');
  const first = Math.min(FULL_SECONDS, SECONDS / 3);
  await sleep(first);
  const early = await held(cdp);
  const watched = await cost(() => sleep(SECONDS - first));
  const late = await held(cdp);
  const state = (await host.ctl('status')) as { armed: boolean; sample_count: number };

  const shown = ({ heapMb, nodes, listeners }: typeof early) =>
    `${heapMb.toFixed(2)} MiB, ${String(nodes)} nodes, ${String(listeners)} listeners`;
  const part = (share: number) => `${(100 * share).toFixed(2)} %`;
  console.log(
    [
      `live page over ${String(SECONDS)} s, ${String(state.sample_count)} samples:`,
      `after ${first.toFixed(0)} s ${shown(early)}; at the end ${shown(late)};`,
      `the host takes ${part(alone)} of a core without it, ${part(watched)} with it`,
    ].join(' '),
  );
  expect(state.armed).toBe(true);
  expect(state.sample_count).toBeGreaterThan(SECONDS / 3);
  expect(late.heapMb - early.heapMb).toBeLessThan(GROWTH_MB);
  expect(late.nodes).toBeLessThan(1.2 * early.nodes + 200);
  expect(late.listeners).toBeLessThan(1.2 * early.listeners + 50);
  // Aimed for: below one per cent.
  expect(watched - alone).toBeLessThan(0.03);
  client.kill();
});
