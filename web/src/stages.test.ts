import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const TABLE = '../dashboards/colours.json';

interface Colour {
  name: string;
  light: string;
  dark: string;
}

test.skipIf(!existsSync(TABLE))('stages have the colours that they have on the dashboards', () => {
  const theme = readFileSync('src/theme.css', 'utf8');
  const { stages } = JSON.parse(readFileSync(TABLE, 'utf8')) as { stages: Colour[] };
  expect(stages.length).toBeGreaterThan(5);
  for (const { name, light, dark } of stages) {
    expect(theme).toContain(`--stage-${name}: light-dark(${light}, ${dark});`);
  }
});
