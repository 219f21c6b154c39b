// Fails if a package that browsers get has a licence that a project under MIT or Apache-2.0 cannot ship.
import { readFileSync } from 'node:fs';

const ALLOWED = [
  'MIT',
  'Apache-2.0',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'Unlicense',
  'MIT OR Apache-2.0',
];
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const faults = Object.entries(packages)
  .filter(([path, one]) => path !== '' && !one.dev && !ALLOWED.includes(one.license))
  .map(([path, one]) => `${path}: ${one.license ?? 'no licence'}`);
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
