// One session while it is captured.

import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";

import { COLOURS, STAGE_COLOURS, onBoth } from "./colours";
import { about, m } from "./metrics";
import { EACH_SECOND, annotation, choice, dashboard, fixed, lines } from "./panels";
import { streamPanels } from "./stream";

export function live(): DashboardBuilder {
  const own = 'host_id="$host", session_id=~"$session"';
  const info = m("session.info");
  const built = dashboard("punktfunk-live", "Punktfunk / Live session", "Where the time of every frame goes, while a capture is armed.")
    .time({ from: "now-5m", to: "now" }).refresh("5s")
    .withVariable(choice("host", "Host", `label_values(${info}, host_id)`))
    .withVariable(choice("session", "Session", `label_values(${info}{host_id="$host"}, session_id)`).includeAll(true).allValue(".+"))
    .withVariable(choice("stage", "Stage", `label_values(${m("frame.stage.duration")}{host_id="$host"}, stage)`))
    .annotation(annotation("Captures", `${m("capture.info")}{host_id="$host"}`, "capture", "{{label}}"));
  for (const panel of streamPanels(own, 0)) built.withPanel(panel);
  return built
    .withPanel(lines({
      id: 10, title: "Size of a picture", unit: "bytes", x: 0, y: 45, w: 12, h: 9,
      description: `${about("frame.size")} An IDR picture can be decoded alone, a P picture needs the one before.`,
    }, ["idr", "p"].flatMap((kind) => [0.5, 0.99].map((q) => ({
      expr: `histogram_quantile(${q}, sum(rate(${m("frame.size")}{${own}, frame_type="${kind}"}[$__rate_interval])))`,
      legend: `${kind} p${q * 100}`, step: EACH_SECOND,
    })))))
    .withPanel(lines({
      id: 12, title: "Exporter", unit: "short", x: 12, y: 45, w: 12, h: 9,
      description: `${about("export.requests")} A minute, for all hosts. Anything but exported is missing in these panels; recordings are made without it.`,
    }, [
      { expr: `60 * sum by (outcome) (rate(${m("export.requests")}[$__rate_interval]))`, legend: "{{outcome}}" },
      { expr: `60 * sum(rate(${m("export.retries")}[$__rate_interval]))`, legend: "repeated" },
    ]).overrideByName("exported", fixed(onBoth(COLOURS.goodput))).overrideByName("refused", fixed(onBoth(COLOURS.bad)))
      .overrideByName("dropped", fixed(onBoth(STAGE_COLOURS.encode))).overrideByName("lost", fixed(onBoth(COLOURS.other))));
}
