// Names of metrics, out of the catalogue that the host checks in: a dashboard cannot name what does not exist.

import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Metric {
  name: string;
  description: string;
  prometheus_name: string;
}

const catalogue = JSON.parse(readFileSync(join(__dirname, "../../api/metrics.json"), "utf8")) as Metric[];

function find(name: string): Metric {
  const found = catalogue.find((metric) => metric.name === `punktfunk.${name}`);
  if (found === undefined) throw new Error(`api/metrics.json has no punktfunk.${name}`);
  return found;
}

/** The name in Prometheus of `punktfunk.<name>`. */
export const m = (name: string): string => find(name).prometheus_name;

/** What the metric means, and where its clock starts and stops. */
export const about = (name: string): string => find(name).description;
