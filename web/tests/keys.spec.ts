// The console without a mouse: dialogs that hold the focus and the page, and a whole run by keys alone.
import { expect, test, type Locator, type Page } from '@playwright/test';

import { Host, until } from './host';
import { open } from './look';
import { record } from './recordings';

test.describe.configure({ mode: 'default' });

let host: Host;
test.beforeAll(async () => {
  host = await Host.start();
  await record(host, 2);
});
test.afterAll(() => host.end());

/** Goes on by Tab until something has the focus; whatever has it on the way shows it. */
async function tabTo(page: Page, goal: Locator): Promise<void> {
  await expect(goal.first()).toBeAttached();
  for (let left = 80; left > 0; left -= 1) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const at = document.activeElement;
      if (at === null || at === document.body) return true;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      return (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || at.outerHTML;
    });
    expect(seen).toBe(true);
    if (await goal.first().evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`no Tab leads to ${goal.toString()}`);
}

async function press(page: Page, goal: Locator, key = 'Enter'): Promise<void> {
  await tabTo(page, goal);
  await page.keyboard.press(key);
}

const isFocused = (goal: Locator) => goal.evaluate((it) => it === document.activeElement);

test('a run is armed, marked, stopped, read, named and compared by keys alone', async ({
  page,
}) => {
  await host.signIn(page);
  const client = await host.stream('Deck');
  const button = (name: string) => page.getByRole('button', { name, exact: true });

  // Into the content at once, past the navigation.
  await tabTo(page, page.getByRole('link', { name: 'Skip to the content' }));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('main')).toBeFocused();
  await tabTo(page, page.getByLabel('Label'));
  // Keys of the page are letters here.
  await page.keyboard.type('gr?mmm');
  await expect(page.getByLabel('Label')).toHaveValue('gr?mmm');
  await expect(page.getByRole('dialog')).toBeHidden();
  expect(new URL(page.url()).pathname).toBe('/');
  await page.keyboard.press('Enter');
  const card = page.getByRole('region', { name: 'Capture' });
  await expect(card.getByText(/^Recording/)).toBeVisible();
  await page.keyboard.press('m');
  await expect(page.getByText('Marked.', { exact: true })).toBeVisible();
  await expect
    .poll(async () => ((await host.ctl('status')) as { sample_count: number }).sample_count)
    .toBeGreaterThan(2);
  await press(page, button('Stop'));
  await expect(page.getByRole('heading', { name: 'gr?mmm' })).toBeVisible();
  const { markers } = (await page.evaluate(
    async (id) => (await fetch(`/api/v1/stats/recordings/${id}`)).json() as Promise<unknown>,
    /recordings\/([^?]+)/.exec(page.url())?.[1] ?? '',
  )) as { markers: { kind: string }[] };
  expect(markers.filter(({ kind }) => kind === 'operator')).toHaveLength(1);

  const graph = page.getByRole('group', { name: /Where the time of a frame goes/ });
  await tabTo(page, graph);
  const figure = page.getByRole('figure').filter({ has: graph });
  await page.keyboard.press('ArrowRight');
  const first = await figure.innerText();
  expect(first).toMatch(/\d ms/);
  await page.keyboard.press('ArrowRight');
  await expect.poll(() => figure.innerText()).not.toBe(first);
  await page.keyboard.press('+');
  await expect(page).toHaveURL(/from=\d+&to=\d+/);
  await page.keyboard.press('Escape');
  await expect(page).not.toHaveURL(/from=/);

  await page.keyboard.press('g');
  await page.keyboard.press('r');
  const table = page.getByRole('table', { name: 'Recordings' });
  const actions = table
    .getByRole('row', { name: /gr\?mmm/ })
    .getByRole('button', { name: 'Actions' });
  await press(page, actions);
  const entry = page.getByRole('menuitem', { name: 'Rename and note' });
  await expect(entry).toBeFocused();
  const ring = await entry.evaluate((it) => getComputedStyle(it).outlineStyle);
  expect(ring).toBe('solid');
  // A letter looks for an entry; it is no key of the page.
  await page.keyboard.press('d');
  await expect(page.getByRole('menuitem', { name: 'Download JSON' })).toBeFocused();
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog')).toBeHidden();
  await page.keyboard.press('Home');
  await expect(entry).toBeFocused();
  await page.keyboard.press('Enter');
  const label = page.getByRole('dialog').getByLabel('Label');
  await expect(page.getByRole('dialog')).toBeVisible();
  if (!(await isFocused(label))) await tabTo(page, label);
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('by keys');
  await page.keyboard.press('Enter');
  await expect(table.getByRole('link', { name: 'by keys' })).toBeVisible();
  const row = table.getByRole('row', { name: /by keys/ });
  await expect(row.getByRole('button', { name: 'Actions' })).toBeFocused();

  await page.reload();
  await expect(table.getByRole('row')).toHaveCount(3);
  const duration = table.getByRole('columnheader', { name: 'Duration' });
  await press(page, duration.getByRole('button'));
  await expect(duration).toHaveAttribute('aria-sort', /ascending|descending/);
  for (const name of ['by keys', 'base']) {
    await press(
      page,
      table.getByRole('row', { name: new RegExp(name) }).getByRole('checkbox'),
      ' ',
    );
  }
  await press(page, button('Compare'));
  await expect(page.getByRole('region', { name: 'Recordings compared' })).toContainText('by keys');
  client.kill();
});

test('a client is let in, and language and theme are set, by keys alone', async ({ page }) => {
  await host.signIn(page);
  const asking = host.ask('Living room');
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  const pin = page.getByLabel('PIN that the client shows');
  await expect(pin).toBeVisible();
  await tabTo(page, pin);
  await page.keyboard.type('246810');
  await page.keyboard.press('Enter');
  await until(() => (asking.exitCode === null ? undefined : true));
  expect(asking.exitCode).toBe(0);

  const settings = page.getByRole('button', { name: 'Settings', exact: true });
  await press(page, settings);
  await press(page, page.getByRole('button', { name: 'Dark', exact: true }));
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await press(page, page.getByRole('button', { name: 'Deutsch' }), ' ');
  await expect(page.locator('html')).toHaveAttribute('lang', 'de');
  await expect(page.getByRole('button', { name: 'Deutsch' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Einstellungen', exact: true })).toBeFocused();
});

for (const [what, path, opener, item] of [
  ['shortcuts', '/recordings', 'Keyboard shortcuts', undefined],
  ['rename', '/recordings', 'Actions', 'Rename and note'],
  ['delete', '/recordings', 'Actions', 'Delete'],
  ['revoke', '/clients', 'Revoke', undefined],
  ['phone', '/recordings', 'Settings', 'Sign in a phone'],
] as const) {
  test(`a dialog holds the focus and the page, and gives both back: ${what}`, async ({
    browser,
  }) => {
    const context = await browser.newContext({
      viewport: { width: 800, height: 400 },
      hasTouch: true,
    });
    const page = await context.newPage();
    await host.signIn(page);
    await open(page, host.url + path);
    // Something to scroll, whatever the list holds.
    await page
      .getByRole('main')
      .evaluate((it) =>
        it.append(Object.assign(document.createElement('canvas'), { height: 3000 })),
      );
    const scrolled = () => page.evaluate(() => scrollY);
    await page.mouse.move(400, 200);
    await page.mouse.wheel(0, 100);
    await expect.poll(scrolled).toBe(100);
    await page.evaluate(() => scrollTo(0, 0));
    const width = await page.evaluate(() => document.body.clientWidth);

    const from = page.getByRole('button', { name: opener, exact: true }).first();
    await from.focus();
    const at = await scrolled();
    await page.keyboard.press('Enter');
    if (item !== undefined) {
      const entry = page
        .getByRole('menuitem', { name: item })
        .or(page.getByRole('button', { name: item }));
      await entry.focus();
      await page.keyboard.press('Enter');
    }
    const dialog = page.getByRole('dialog');
    await expect(dialog).toHaveCount(1);
    await expect(dialog.getByRole('button', { name: 'Close' })).toBeVisible();
    expect(await page.evaluate(() => document.body.clientWidth), 'nothing moves').toBe(width);

    const inside = () => dialog.evaluate((it) => it.contains(document.activeElement));
    const seen = new Set<string>();
    for (const key of [...Array<string>(8).fill('Tab'), ...Array<string>(8).fill('Shift+Tab')]) {
      await page.keyboard.press(key);
      expect(await inside(), key).toBe(true);
      seen.add(await page.evaluate(() => document.activeElement?.outerHTML ?? ''));
    }
    expect(seen.size).toBeLessThanOrEqual(8);

    for (const [x, y] of [
      [20, 380],
      [400, 200],
    ] as const) {
      await page.mouse.move(x, y);
      await page.mouse.wheel(0, 300);
    }
    for (const key of ['PageDown', 'End', 'ArrowDown']) await page.keyboard.press(key);
    const touch = await context.newCDPSession(page);
    await touch.send('Input.synthesizeScrollGesture', {
      x: 20,
      y: 300,
      yDistance: -200,
      gestureSourceType: 'touch',
    });
    expect(await scrolled()).toBe(at);

    await page.keyboard.press('Escape');
    await expect(dialog).toHaveCount(0);
    await expect(from).toBeFocused();
    await page.mouse.move(400, 200);
    await page.mouse.wheel(0, 100);
    await expect.poll(scrolled).toBe(at + 100);
    await context.close();
  });
}
