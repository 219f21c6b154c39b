// Writes the dashboards, or says which of the checked-in ones is not what the source says.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { live } from "./live";
import { overview } from "./overview";
import { recording } from "./recording";
import { recordings } from "./recordings";
import { STAGES, STAGE_COLOURS, COLOURS } from "./colours";

const directory = join(__dirname, "..");
const check = process.argv.includes("--check");
const files = new Map<string, unknown>();
for (const built of [overview(), live(), recordings(), recording()].map((builder) => builder.build())) {
  // One shape for Grafana 10.4 to 13; what is made of it there is its own affair.
  files.set(`json/${built.uid}.json`, { ...built, id: null, schemaVersion: 39, version: 1 });
}
// For the console.
files.set("colours.json", { stages: STAGES.map((name) => ({ name, ...STAGE_COLOURS[name] })), ...COLOURS });

let stale = false;
for (const [name, content] of files) {
  const path = join(directory, name);
  const text = JSON.stringify(content, null, 2) + "\n";
  if (!check) {
    writeFileSync(path, text);
  } else if (readFileSync(path, "utf8") !== text) {
    console.error(`dashboards/${name} is stale: run make dashboards`);
    stale = true;
  }
}
process.exitCode = stale ? 1 : 0;
