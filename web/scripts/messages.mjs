// Fails if a language lacks a message, has one too many, names other figures in it, or if nobody uses one.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const read = (language) => {
  const { $schema: _, ...messages } = JSON.parse(readFileSync(`messages/${language}.json`, 'utf8'));
  return messages;
};
const sources = (directory) =>
  readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'paraglide' ? [] : sources(path);
    return /\.tsx?$/.test(entry.name) ? [readFileSync(path, 'utf8')] : [];
  });
const inputs = (message) =>
  [...JSON.stringify(message).matchAll(/\{(\w+)\}/g)]
    .map((m) => m[1])
    .sort()
    .join();

const [en, de, code] = [read('en'), read('de'), sources('src').join('\n')];
const used = new Set([...code.matchAll(/\bm\.(\w+)/g)].map((match) => match[1]));
const faults = [];
for (const key of new Set([...Object.keys(en), ...Object.keys(de), ...used])) {
  if (!(key in en)) faults.push(`${key}: not in en.json`);
  else if (!(key in de)) faults.push(`${key}: not in de.json`);
  else if (inputs(en[key]) !== inputs(de[key])) faults.push(`${key}: other figures in de.json`);
  if (!used.has(key)) faults.push(`${key}: nobody uses it`);
}
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
