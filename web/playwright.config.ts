// Browser tests: Debian's Chromium, a real host each.
import { existsSync } from 'node:fs';

import { defineConfig } from '@playwright/test';

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) =>
  existsSync(path),
);

export default defineConfig({
  testDir: 'tests',
  testMatch: '*.spec.ts',
  timeout: 90_000,
  expect: { timeout: 10_000 },
  workers: 1,
  forbidOnly: process.env['CI'] === 'true',
  reporter: [['list']],
  use: {
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
    launchOptions: {
      ...(chromium !== undefined && { executablePath: chromium }),
      // Containers have neither user namespaces nor a large /dev/shm.
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    },
  },
});
