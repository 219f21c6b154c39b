// The API's document as the signed-in browser reads and tries it.
import { expect, test } from '@playwright/test';

import { Host } from './host';

let host: Host;
test.beforeAll(async () => {
  host = await Host.start();
});
test.afterAll(() => host.end());

test('the document opens offline, and what is tried out is done as whoever is signed in', async ({
  page,
}) => {
  await host.signIn(page);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!/^data:/.test(request.url()) && !request.url().startsWith(`${host.url}/`)) {
      faults.push(request.url());
    }
  });
  await page.goto(`${host.url}/docs`);
  const operation = (id: string) => page.locator(`[id$="${id}"]`);
  const tried = async (id: string) => {
    const place = operation(id);
    await place.getByRole('button').first().click();
    await place.getByRole('button', { name: 'Try it out' }).click();
    await place.getByRole('button', { name: 'Execute' }).click();
    const answer = place.locator('.live-responses-table .response-col_status');
    await expect(answer.last()).toHaveText(/\d{3}/);
    return (await answer.last().textContent())?.trim();
  };
  expect(await tried('-stats_capture_status')).toBe('200');
  // A change carries the session's CSRF token, so it is done.
  expect(await tried('-stats_capture_start')).toBe('200');
  expect(await host.ctl('status')).toMatchObject({ state: 'armed' });
  await host.ctl('stop');
  expect(faults).toEqual([]);
});

test('who is not signed in is told so, and led to where one signs in', async ({ page }) => {
  await page.goto(`${host.url}/docs`);
  await expect(page.getByText('The document needs a session.')).toBeVisible();
  await page.getByRole('link', { name: 'Sign in to the console' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in to this host' })).toBeVisible();
});
