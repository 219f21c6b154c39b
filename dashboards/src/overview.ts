// All hosts: which are up, who streams, what is captured, what is wrong.

import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";

import { COLOURS, onBoth } from "./colours";
import { about, m } from "./metrics";
import { annotation, dashboard, dashed, lines, table } from "./panels";

const JOB = 'job="punktfunk-host"';

export function overview(): DashboardBuilder {
  const half = { w: 12, h: 8 };
  return dashboard("punktfunk-overview", "Punktfunk / Overview", "Hosts, sessions, captures and alerts.")
    .time({ from: "now-1h", to: "now" }).refresh("15s")
    .annotation(annotation("Captures", `${m("capture.active")}{${JOB}} > 0`, "capture", "{{instance}}"))
    .withPanel(table({
      id: 1, title: "Hosts", unit: "none", x: 0, y: 0, ...half,
      description: `Every host that Prometheus scrapes. \`up\` is 0 if the last scrape failed. ${about("build.info")}`,
    }, [
      { expr: `up{${JOB}}` },
      { expr: `sum by (instance, version, host_id) (${m("build.info")}{${JOB}})` },
    ]).withTransformation({ id: "merge", options: {} })
      .withTransformation({ id: "organize", options: { excludeByName: { Time: true, __name__: true, job: true, "Value #B": true }, renameByName: { "Value #A": "up" } } })
      .overrideByName("host_id", [{ id: "links", value: [{ title: "Live session", url: "/d/punktfunk-live?var-host=${__value.raw}" }] }]))
    .withPanel(table({
      id: 2, title: "Alerts", unit: "none", x: 12, y: 0, ...half,
      description: "Alerts that fire now, or wait for their window. Empty is good. Each has a runbook of its name.",
    }, [{ expr: 'ALERTS{alertname=~"Punktfunk.+"}' }])
      .withTransformation({ id: "organize", options: { excludeByName: { Time: true, __name__: true, Value: true, job: true } } }))
    .withPanel(lines({
      id: 3, title: "Captures", unit: "none", x: 0, y: 8, ...half, description: about("capture.active"),
    }, [{ expr: `${m("capture.active")}{${JOB}}`, legend: "{{instance}}" }]).max(1))
    .withPanel(lines({
      id: 4, title: "Sessions", unit: "none", x: 12, y: 8, ...half, description: about("session.active"),
    }, [{ expr: `sum by (instance, protocol) (${m("session.active")}{${JOB}})`, legend: "{{instance}} {{protocol}}" }], true))
    .withPanel(lines({
      id: 5, title: "Recordings on disk", unit: "bytes", x: 0, y: 16, ...half,
      description: `${about("recordings.size")} The dashed line is the quota, where there is one.`,
    }, [
      { expr: `${m("recordings.size")}{${JOB}}`, legend: "{{instance}}" },
      { expr: `${m("recordings.quota")}{${JOB}}`, legend: "quota of {{instance}}" },
    ]).overrideByRegexp("/^quota/", dashed(onBoth(COLOURS.target))))
    .withPanel(lines({
      id: 6, title: "Late frames, all measured sessions", unit: "percentunit", x: 12, y: 16, ...half,
      description: "Share of the frames of a minute whose host duration was over the latency target. Only known while a capture is armed.",
    }, [{ expr: "session:punktfunk_frame_late:ratio_rate1m", legend: "{{host_id}} {{session_id}}", step: "15s" }]));
}
