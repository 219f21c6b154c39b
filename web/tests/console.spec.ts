// The console as an operator uses it: a real host, a real stream, real files.
import { expect, test } from '@playwright/test';
import { readFileSync } from 'node:fs';

import { Host, until } from './host';
import { Moonlight } from './moonlight';

test.describe.configure({ mode: 'default' });

let host: Host;
test.beforeAll(async () => {
  host = await Host.start({
    PUNKTFUNK_GAMESTREAM_ENABLED: 'true',
    PUNKTFUNK_GAMESTREAM_BIND: '127.0.0.1:0',
  });
  await host.pair('Deck');
});
test.afterAll(() => host.end());

test('a link lets in once, its token leaves the address, and nothing breaks the policy', async ({
  page,
  browser,
}) => {
  const faults: string[] = [];
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  const link = await host.link();
  await page.goto(link);
  await expect(
    page
      .getByRole('heading', { name: 'Nobody is streaming' })
      .or(page.getByText('Nobody is streaming')),
  ).toBeVisible();
  expect(page.url()).toBe(`${host.url}/`);
  expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
  for (const name of ['Recordings', 'Clients', 'Performance']) {
    await page.getByRole('link', { name, exact: true }).first().click();
  }
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Sign in a phone' }).click();
  await page.getByRole('button', { name: 'Show the code' }).click();
  await expect(page.getByRole('img', { name: 'QR code that signs a phone in' })).toBeVisible();
  await page.keyboard.press('Escape');
  expect(faults).toEqual([]);

  const other = await (await browser.newContext()).newPage();
  await other.goto(link);
  await expect(other.getByRole('alert')).toContainText('used before');
  // Another link into the same tab: nothing is loaded anew, and it counts all the same.
  await other.goto(await host.link());
  await expect(other.getByRole('region', { name: 'Capture' })).toBeVisible();
  expect(other.url()).toBe(`${host.url}/`);
  const second = await other.context().newPage();
  await second.goto(host.url);
  await expect(second.getByRole('region', { name: 'Capture' })).toBeVisible();
  await other.getByRole('button', { name: 'Settings' }).click();
  await other.getByRole('button', { name: 'Sign out' }).click();
  // Signing out here ends what the other tab watches, too.
  await expect(second.getByRole('heading', { name: 'Sign in to this host' })).toBeVisible();
  await second.close();
  await other.getByLabel('Operator’s token').fill('wrong');
  await other.getByRole('button', { name: 'Sign in' }).click();
  await expect(other.getByRole('alert')).toContainText('not the host’s token');
  await other.getByLabel('Operator’s token').fill(host.token);
  await other.getByRole('button', { name: 'Sign in' }).click();
  await expect(other.getByRole('region', { name: 'Capture' })).toBeVisible();
  await other.getByRole('button', { name: 'Settings' }).click();
  await other.getByRole('button', { name: 'Sign out' }).click();
  await expect(other.getByRole('heading', { name: 'Sign in to this host' })).toBeVisible();
  expect(host.log).not.toContain(link.split('signin=')[1]);
  await other.context().close();
});

test('an operator arms, watches, marks, stops, and reads the verdict', async ({ page }) => {
  await host.signIn(page);
  const client = await host.stream('Deck');
  await page.getByLabel('Label').fill('before');
  await page.getByRole('button', { name: 'Start' }).click();
  const card = page.getByRole('region', { name: 'Capture' });
  await expect(card.getByText(/^Recording/)).toBeVisible();
  await expect(page.getByRole('group', { name: /Where the time of a frame goes/ })).toBeVisible();
  await page.getByText('As a table').first().click();
  const table = page.getByRole('table').first();
  await expect(table.getByRole('columnheader', { name: 'encode' })).toBeVisible();
  await expect(table.getByRole('row').nth(3)).toBeVisible();
  await expect(table.getByRole('row').nth(1)).toContainText(' ms');
  await page.locator('body').press('m');
  await expect(page.getByText('Marked.', { exact: true })).toBeVisible();
  await expect
    .poll(async () => ((await host.ctl('status')) as { sample_count: number }).sample_count)
    .toBeGreaterThan(6);
  await page.getByRole('button', { name: 'Stop' }).click();

  await expect(page.getByRole('heading', { name: 'before' })).toBeVisible();
  await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('The host kept up');
  const summary = page.getByRole('region', { name: 'Summary' });
  await expect(summary.getByRole('row', { name: /^host/ })).toBeVisible();
  await expect(page.getByText('Counts agree')).toBeVisible();
  client.kill();
});

test('a graph is zoomed by dragging, the range has its own summary, and the address restores it', async ({
  page,
}) => {
  await host.signIn(page, '/recordings');
  await page.getByRole('link', { name: 'before' }).click();
  const graph = page.getByRole('group', { name: /Where the time of a frame goes/ });
  await graph.scrollIntoViewIfNeeded();
  const whole = await page.getByRole('region', { name: 'Verdict' }).textContent();
  const box = await graph.boundingBox();
  if (box === null) throw new Error('no graph');
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.3, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, y, { steps: 8 });
  await page.mouse.up();
  await expect(page).toHaveURL(/from=\d+&to=\d+/);
  await expect(page.getByRole('button', { name: 'Whole run' })).toBeVisible();
  const id = /recordings\/([^?]+)/.exec(page.url())?.[1] ?? '';
  const [from, to] = ['from', 'to'].map((key) => new URL(page.url()).searchParams.get(key) ?? '');
  const answer = await page.evaluate(
    async (url) => (await (await fetch(url)).json()) as { all: { frames: number } },
    `/api/v1/stats/recordings/${id}/summary?from_ms=${from ?? ''}&to_ms=${to ?? ''}`,
  );
  await expect(page.getByRole('region', { name: 'Verdict' })).toContainText(
    String(answer.all.frames),
  );
  await page.getByRole('button', { name: 'p99', exact: true }).click();
  await page.reload();
  await expect(page.getByRole('button', { name: 'Whole run' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'p99', exact: true })).toHaveAttribute(
    'aria-pressed',
    'true',
  );
  await graph.dblclick();
  await expect(page).not.toHaveURL(/from=/);
  await expect(page.getByRole('region', { name: 'Verdict' })).toHaveText(whole ?? '');
  await page.getByRole('button', { name: /^Worst ten seconds/ }).click();
  await expect(page).toHaveURL(/at=\d+/);
  await page.getByRole('group', { name: /Frame by frame/ }).press('ArrowRight');
  await expect(page.getByText(/^Frame \d+ ·/)).toBeVisible();
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page.getByRole('group', { name: /^Distribution/ })).toBeVisible();
});

test('the page follows what ctl does, within a second', async ({ page }) => {
  await host.signIn(page);
  await host.ctl('start', '--label', 'by ctl');
  const card = page.getByRole('region', { name: 'Capture' });
  await expect(card.getByText(/^Recording/)).toBeVisible({ timeout: 1000 });
  await expect(card.getByText('by ctl')).toBeVisible();
  const client = await host.stream('Deck');
  await expect
    .poll(async () => ((await host.ctl('status')) as { sample_count: number }).sample_count)
    .toBeGreaterThan(6);
  await host.ctl('stop');
  await expect(card.getByText('Idle')).toBeVisible({ timeout: 1000 });
  client.kill();
});

test('recordings are found, renamed, compared, taken along, taken in and deleted', async ({
  page,
}) => {
  await host.signIn(page, '/recordings');
  const table = page.getByRole('table', { name: 'Recordings' });
  await expect(table.getByRole('row')).toHaveCount(3);
  await page.getByRole('searchbox').fill('ctl');
  await expect(table.getByRole('row')).toHaveCount(2);
  await page.getByRole('searchbox').fill('');

  const row = table.getByRole('row', { name: /by ctl/ });
  await row.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Rename and note' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Label').fill('after');
  await dialog.getByLabel('Note').fill('new driver');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toBeHidden();
  await expect(table.getByRole('link', { name: 'after' })).toBeVisible();

  await page.getByRole('checkbox', { name: 'Select all' }).check();
  await page.getByRole('button', { name: 'Compare' }).click();
  await expect(page.getByRole('region', { name: 'Recordings compared' })).toContainText(
    '1 · before',
  );
  await expect(
    page.getByRole('region', { name: 'Differences' }).getByRole('row', { name: /^host p99/ }),
  ).toBeVisible();
  await page.getByRole('button', { name: 'encode' }).click();
  await expect(page).toHaveURL(/stage=encode/);
  const comparison = page.waitForEvent('download');
  await page.getByRole('link', { name: /Report/ }).click();
  expect(readFileSync(await (await comparison).path(), 'utf8')).toMatch(/^<!doctype html>/i);

  await page.goto(`${host.url}/recordings`);
  const taken = page.waitForEvent('download');
  await table.getByRole('row', { name: /after/ }).getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Download JSON' }).click();
  const file = await (await taken).path();
  for (const [name, begins] of [
    ['Download CSV', /^[a-z_]+,/],
    ['Download OpenMetrics', /^# /],
    ['Report (HTML)', /^<!doctype html>/i],
  ] as const) {
    const download = page.waitForEvent('download');
    await table
      .getByRole('row', { name: /after/ })
      .getByRole('button', { name: 'Actions' })
      .click();
    await page.getByRole('menuitem', { name }).click();
    expect(readFileSync(await (await download).path(), 'utf8')).toMatch(begins);
  }

  await page.getByLabel('Recording file to import').setInputFiles({
    name: 'nonsense.json',
    mimeType: 'application/json',
    buffer: Buffer.from('{"not": "a recording"}'),
  });
  await expect(page.getByText(/^Not imported/).first()).toBeVisible();
  await page.getByLabel('Recording file to import').setInputFiles(file);
  await expect(page.getByText(/^Imported .*there it was called/)).toBeVisible();
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await expect(page.getByRole('dialog')).toContainText('after');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByText('1 deleted.', { exact: true })).toBeVisible();
  await expect(table.getByRole('row')).toHaveCount(3);
  await expect(page.getByRole('main')).toBeFocused();
});

test('a baseline is pinned, and later recordings are held against it', async ({ page }) => {
  await host.signIn(page, '/recordings');
  const table = page.getByRole('table', { name: 'Recordings' });
  await table
    .getByRole('row', { name: /before/ })
    .getByRole('button', { name: 'Actions' })
    .click();
  await page.getByRole('menuitem', { name: 'Hold others against it' }).click();
  await expect(table.getByRole('img', { name: 'Baseline' })).toBeVisible();
  await table.getByRole('link', { name: 'after' }).click();
  await expect(page.getByRole('region', { name: 'Against the baseline' })).toBeVisible();
});

test('a client is let in by its PIN, streams, and is shown out', async ({ page }) => {
  await host.signIn(page, '/clients');
  const asking = host.ask('Living room');
  const requests = page.getByRole('region', { name: 'Clients that ask to be let in' });
  await expect(requests.getByText('Living room')).toBeVisible();
  await requests.getByLabel('PIN that the client shows').fill('246810');
  await requests.getByRole('button', { name: 'Let in' }).click();
  await until(() => (asking.exitCode === null ? undefined : true));
  expect(asking.exitCode).toBe(0);
  const paired = page.getByRole('region', { name: 'Paired clients' }).getByRole('listitem');
  await expect(paired.filter({ hasText: 'Living room' })).toBeVisible();
  await host.stream('Living room');
  await expect(
    page.getByRole('region', { name: 'Live sessions' }).getByText('Living room'),
  ).toBeVisible();
  await paired.filter({ hasText: 'Living room' }).getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await expect(paired.filter({ hasText: 'Living room' })).toBeHidden();
  await expect(page.getByRole('main')).toBeFocused();
  await expect(
    page.getByRole('region', { name: 'Live sessions' }).getByText('Living room'),
  ).toBeHidden();
});

test('a Moonlight client is let in by the PIN that it shows, and by no other way', async ({
  page,
}) => {
  await host.signIn(page, '/clients');
  const client = new Moonlight(await host.moonlightPort, host.directory);
  const paired = client.pair('0815');
  const request = page
    .getByRole('region', { name: 'Clients that ask to be let in' })
    .getByRole('listitem');
  await expect(request).toContainText('gamestream');
  await request.getByLabel('Name').fill('Television');
  await request.getByRole('button', { name: 'Let in' }).click();
  await expect(request.getByLabel('PIN that the client shows')).toBeFocused();
  await request.getByLabel('PIN that the client shows').fill('0815');
  await request.getByRole('button', { name: 'Let in' }).click();
  expect(await paired).toBe(true);
  await expect(
    page.getByRole('region', { name: 'Paired clients' }).getByText('Television'),
  ).toBeVisible();
  await expect(page.getByText('Nobody asks.', { exact: false })).toBeVisible();
});

test('a host that goes and comes back is noticed, and nothing typed is lost', async ({ page }) => {
  await host.signIn(page);
  await page.getByLabel('Label').fill('typed before');
  await host.down();
  await expect(page.getByText('The host does not answer.', { exact: false }).first()).toBeVisible();
  await expect(page.getByLabel('Label')).toHaveValue('typed before');
  await host.up();
  // Sessions end with the host.
  await expect(page.getByRole('heading', { name: 'Sign in to this host' })).toBeVisible();
  await page.getByLabel('Operator’s token').fill(host.token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByLabel('Label')).toHaveValue('typed before');
});

test('one sign-in is enough for every page of a browser', async ({ page, context }) => {
  await host.signIn(page);
  const other = await context.newPage();
  await other.goto(host.url);
  await other.getByLabel('Label').fill('typed before');
  await host.down();
  await host.up();
  const out = { name: 'Sign in to this host' };
  for (const one of [page, other]) await expect(one.getByRole('heading', out)).toBeVisible();
  await page.getByLabel('Operator’s token').fill(host.token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  // The page that was not asked has the new session's CSRF token, too.
  await expect(other.getByLabel('Label')).toHaveValue('typed before');
  await other.getByRole('button', { name: 'Start' }).click();
  for (const one of [page, other]) {
    await expect(
      one.getByRole('region', { name: 'Capture' }).getByText('typed before'),
    ).toBeVisible();
  }
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(other.getByRole('button', { name: 'Start' })).toBeVisible();
});

test('keys list themselves, and the focus returns', async ({ page }) => {
  await host.signIn(page);
  const button = page.getByRole('button', { name: 'Keyboard shortcuts' });
  await button.focus();
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(button).toBeFocused();
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await expect(page).toHaveURL(/recordings/);
});
