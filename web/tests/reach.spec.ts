// Whom the console reaches: axe over every state that is more than a page, forced colours, no motion, language and theme.
import { expect, test, type Locator, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';

import { Host } from './host';
import { flaws, look, open, reader, type Reader } from './look';
import { record } from './recordings';

test.describe.configure({ mode: 'default' });

const READERS: Reader[] = [
  { locale: 'en-US', colorScheme: 'dark', width: 1440 },
  { locale: 'de-DE', colorScheme: 'light', width: 390 },
  { locale: 'en-US', colorScheme: 'light', width: 1440 },
  { locale: 'de-DE', colorScheme: 'dark', width: 390 },
];
const shown = ({ locale, colorScheme, width }: Reader) =>
  `${locale}, ${colorScheme}, ${String(width)} px`;

/** The console's words in a language. */
function words({ locale }: Reader): Record<string, string> {
  const path = new URL(`../messages/${locale.slice(0, 2)}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
}

const button = (page: Page, name: string | undefined) =>
  page.getByRole('button', { name: name ?? '', exact: true });

let host: Host;
test.beforeAll(async () => {
  host = await Host.start();
});
test.afterAll(() => host.end());

/** Finds nothing to mend in what is shown now. */
async function clean(page: Page, state: string): Promise<void> {
  expect.soft(await flaws(page), state).toEqual([]);
}

for (const who of READERS.slice(0, 2)) {
  test(`nothing bars the way in, nor an empty host: ${shown(who)}`, async ({ browser }) => {
    const m = words(who);
    const page = await reader(browser, who);
    await open(page, host.url);
    await clean(page, 'signed out');
    await page.getByLabel(m['sign_in_token'] ?? '').fill('wrong');
    await button(page, m['sign_in']).click();
    await expect(page.getByRole('alert')).toHaveText(m['sign_in_wrong_token'] ?? '');
    await clean(page, 'a wrong token');
    await page.goto('about:blank');
    await page.goto(`${host.url}/#signin=usedbefore`);
    await expect(page.getByRole('alert')).toHaveText(m['sign_in_link_used'] ?? '');
    await clean(page, 'a used link');
    await page.goto('about:blank');
    await page.goto(await host.link());
    await expect(page.getByText(m['no_session'] ?? '').first()).toBeVisible();
    for (const path of ['/', '/recordings', '/clients', '/nowhere']) {
      await page.goto(host.url + path);
      await expect(page.getByRole('main')).not.toBeEmpty();
      await expect(page.getByRole('status').filter({ hasText: '…' })).toHaveCount(0);
      await clean(page, `empty ${path}`);
    }
    await page.context().close();
  });
}

test.describe('with a recording', () => {
  test.beforeAll(() => record(host, 2));

  for (const who of READERS) {
    test(`nothing that opens is out of reach: ${shown(who)}`, async ({ browser }) => {
      const m = words(who);
      const page = await look(browser, host, '/recordings', who);
      const dialog = page.getByRole('dialog');
      const away = async () => {
        await page.keyboard.press('Escape');
        await expect(dialog).toBeHidden();
      };
      await page.keyboard.press('?');
      await expect(dialog).toBeVisible();
      await clean(page, 'shortcuts');
      await away();
      await button(page, m['settings']).click();
      await expect(button(page, m['sign_out'])).toBeVisible();
      await clean(page, 'settings');
      await button(page, m['sign_in_phone']).click();
      await button(page, m['sign_in_phone_show']).click();
      await expect(page.getByRole('img', { name: m['sign_in_phone_code'] ?? '' })).toBeVisible();
      await clean(page, 'a phone’s code');
      await away();
      for (const [item, name] of [
        ['edit', 'rename'],
        ['delete_', 'delete'],
      ] as const) {
        await button(page, m['actions']).click();
        await expect(page.getByRole('menu')).toBeVisible();
        if (item === 'edit') await clean(page, 'actions');
        await page.getByRole('menuitem', { name: m[item] ?? '', exact: true }).click();
        await expect(dialog).toBeVisible();
        await clean(page, name);
        await away();
      }
      await open(page, `${host.url}/clients`);
      await button(page, m['revoke']).click();
      await expect(dialog).toBeVisible();
      await clean(page, 'revoke');
      await page.context().close();
    });
  }

  test('nor is the live page while it streams, nor what passes', async ({ browser }) => {
    const client = await host.stream('Deck');
    await host.ctl('start', '--label', 'live');
    for (const who of READERS.slice(0, 2)) {
      const m = words(who);
      const page = await look(browser, host, '/', who);
      await expect(page.locator('canvas').first()).toBeVisible();
      await button(page, m['mark']).click();
      await expect(page.getByText(m['marked'] ?? '', { exact: true })).toBeVisible();
      await clean(page, `live, ${shown(who)}`);
      await page.context().close();
    }
    await host.ctl('stop');
    client.kill();
  });

  test('without motion nothing moves', async ({ page }) => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await host.signIn(page);
    await host.ctl('start');
    await expect(page.getByText(/^Recording/).first()).toBeVisible();
    const moving = () =>
      page.evaluate(
        () => document.getAnimations().filter(({ playState }) => playState === 'running').length,
      );
    expect(await moving()).toBe(0);
    await page.keyboard.press('?');
    await expect(page.getByRole('dialog')).toBeVisible();
    expect(await moving()).toBe(0);
    await page.keyboard.press('Escape');
    // With motion, the badge of a running capture pulses: there is something to be still.
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    await expect.poll(moving).toBeGreaterThan(0);
    await host.ctl('stop');
  });

  test('where the system chooses the colours, what is chosen, can be pressed or is drawn is seen', async ({
    page,
  }) => {
    await page.emulateMedia({ forcedColors: 'active', colorScheme: 'dark' });
    await host.signIn(page, '/recordings');
    const ground = (of: Locator) => of.evaluate((it) => getComputedStyle(it).backgroundColor);
    const pages = page.getByRole('navigation');
    expect(await ground(pages.getByRole('link', { name: 'Recordings' }))).not.toBe(
      await ground(pages.getByRole('link', { name: 'Clients' })),
    );
    await page.getByRole('table').getByRole('link', { name: 'base' }).click();
    await expect(page.getByRole('region', { name: 'Verdict' })).toBeVisible();
    expect(await ground(button(page, 'p50'))).not.toBe(await ground(button(page, 'p99')));
    await button(page, 'Settings').click();
    await button(page, 'Light').click();
    const bare = await page.getByRole('button').evaluateAll((all) =>
      all.flatMap((it) => {
        const { borderStyle, borderColor } = getComputedStyle(it);
        const isEdged = borderStyle === 'solid' && borderColor !== 'rgba(0, 0, 0, 0)';
        // One of several stands in a common edge.
        return isEdged || it.hasAttribute('aria-pressed') ? [] : [it.outerHTML];
      }),
    );
    expect(bare).toEqual([]);

    const graph = page.getByRole('figure').filter({ hasText: 'Where the time of a frame goes' });
    const swatches = await graph
      .locator('li > span:first-child')
      .evaluateAll((all) => all.map((it) => getComputedStyle(it).backgroundColor));
    expect(swatches.length).toBeGreaterThan(5);
    expect(new Set(swatches).size).toBe(swatches.length);
    const tints = await graph.locator('canvas').evaluate((it: HTMLCanvasElement) => {
      const { data } = it.getContext('2d')?.getImageData(0, 0, it.width, it.height) ?? { data: [] };
      const seen = new Set<string>();
      for (let at = 0; at < data.length; at += 4) {
        const [r = 0, g = 0, b = 0] = data.slice(at, at + 3);
        if (Math.max(r, g, b) - Math.min(r, g, b) > 60) {
          seen.add([r, g, b].map((part) => part >> 5).join());
        }
      }
      return seen.size;
    });
    expect(tints).toBeGreaterThan(1);
  });

  test('language and theme follow the browser until they are set, and nothing typed is lost', async ({
    browser,
  }) => {
    const page = await reader(browser, { locale: 'de-DE', colorScheme: 'dark', width: 1280 });
    const background = () =>
      page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    await open(page, host.url);
    const html = page.locator('html');
    await expect(html).toHaveAttribute('lang', 'de');
    const dark = await background();
    await page.emulateMedia({ colorScheme: 'light' });
    await expect.poll(background).not.toBe(dark);
    const light = await background();

    // On the sign-in page, too.
    await page.getByLabel('Token des Betreibers').fill('wrong');
    await button(page, 'Anmelden').click();
    await expect(page.getByRole('alert')).toContainText('Token');
    await button(page, 'English').click();
    await expect(html).toHaveAttribute('lang', 'en');
    await expect(page.getByRole('alert')).toContainText('not the host’s token');
    await expect(page.getByLabel('Operator’s token')).toHaveValue('wrong');
    await page.getByLabel('Operator’s token').fill(host.token);
    await button(page, 'Sign in').click();

    await page.getByLabel('Label').fill('half a name');
    await page.getByLabel('Stop when the session ends').check();
    await page.evaluate(() => Object.assign(window, { same: true }));
    await button(page, 'Settings').click();
    await button(page, 'Deutsch').click();
    await expect(html).toHaveAttribute('lang', 'de');
    await expect(page.getByRole('navigation').getByText('Aufnahmen')).toBeVisible();
    await button(page, 'Dunkel').click();
    await expect.poll(background).toBe(dark);
    await page.keyboard.press('Escape');
    await expect(page.getByLabel('Bezeichnung')).toHaveValue('half a name');
    await expect(page.getByRole('checkbox')).toBeChecked();
    expect(await page.evaluate(() => 'same' in window)).toBe(true);

    await page.reload();
    await expect(button(page, 'Einstellungen')).toBeVisible();
    expect(await background()).toBe(dark);
    await button(page, 'Einstellungen').click();
    await button(page, 'System').click();
    await expect.poll(background).toBe(light);
    await page.emulateMedia({ colorScheme: 'dark' });
    await expect.poll(background).toBe(dark);
    await page.keyboard.press('Escape');

    // What is taken along is in the language of the page.
    await page.getByRole('link', { name: 'Aufnahmen' }).click();
    await button(page, 'Aktionen').first().click();
    const taken = page.waitForEvent('download');
    await page.getByRole('menuitem', { name: 'Bericht (HTML)' }).click();
    const report = readFileSync(await (await taken).path(), 'utf8');
    expect(report).toContain('<html lang="de">');
    await page.context().close();
  });
});
