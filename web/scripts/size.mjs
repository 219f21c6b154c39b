// Fails if what a browser loads first is more than it may be: every script that index.html names, packed.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT_KB = 200;
const html = readFileSync('dist/index.html', 'utf8');
const names = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map((match) => match[1]);
const bytes = names.reduce(
  (sum, name) => sum + gzipSync(readFileSync(`dist/${name}`), { level: 9 }).length,
  0,
);
const text = `${(bytes / 1000).toFixed(1)} kB of JavaScript at first, gzip; ${LIMIT_KB} kB at most`;
if (names.length === 0 || bytes > LIMIT_KB * 1000) {
  console.error(`console: ${text}`);
  process.exit(1);
}
console.log(`console: ${text}`);
