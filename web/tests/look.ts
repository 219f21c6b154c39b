// A console page as a given reader meets it, and what is wrong with it.
import AxeBuilder from '@axe-core/playwright';
import { expect, type Browser, type Page } from '@playwright/test';

import type { Host } from './host';

export interface Reader {
  locale: string;
  colorScheme: 'light' | 'dark';
  width: number;
}

/** A page of a browser of its own, which nobody has signed in. */
export async function reader(
  browser: Browser,
  { width, ...options }: Reader,
  more: { height?: number; hasTouch?: boolean } = {},
): Promise<Page> {
  const { height = 850, ...rest } = more;
  const context = await browser.newContext({
    ...options,
    ...rest,
    reducedMotion: 'reduce',
    viewport: { width, height },
  });
  return context.newPage();
}

/** Signs a reader in and opens a path; everything that comes later has come. */
export async function look(browser: Browser, host: Host, path: string, who: Reader) {
  const page = await reader(browser, who);
  await page.goto(await host.link());
  await expect(page.getByRole('navigation')).toBeVisible();
  await open(page, host.url + path);
  return page;
}

/** Opens an address; everything that comes later has come. */
export async function open(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expect(page.getByRole('heading', { level: 1 })).toBeAttached();
  // The list, the graphs.
  await expect(page.getByRole('status').filter({ hasText: '…' })).toHaveCount(0);
}

/** Pixels by which a page is wider than its window. */
export const excess = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** What axe finds, with examples, and whether the page is wider than its window. */
export async function flaws(page: Page): Promise<unknown[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const wide = await excess(page);
  return [
    ...violations.map(({ id, nodes }) => [id, ...nodes.slice(0, 3).map(({ html }) => html)]),
    ...(wide > 0 ? [`${String(wide)} px too wide`] : []),
  ];
}
