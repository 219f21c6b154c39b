// The saved recordings: a row each, with a link to its own time range.

import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";

import { about, m } from "./metrics";
import { dashboard, table } from "./panels";

export function recordings(): DashboardBuilder {
  const date = [{ id: "unit", value: "dateTimeAsIso" }];
  const link = { title: "Open", url: "/d/punktfunk-recording?var-recording=${__value.raw}&from=${__data.fields.start}&to=${__data.fields.end}" };
  const each = (metric: string, factor = "") => ({ expr: `sum by (recording) (${m(metric)})${factor}` });
  return dashboard("punktfunk-recordings", "Punktfunk / Recordings", "The newest recordings of every host, as its /metrics lists them.")
    .time({ from: "now-1h", to: "now" })
    .withPanel(table({
      id: 1, title: "Recordings", unit: "none", x: 0, y: 0, w: 24, h: 20,
      description: `${about("recording.info")} p99 is that of the host duration over all sessions; late is the share of frames over the latency target. A row's link opens the recording at its own time.`,
    }, [
      { expr: `max by (recording, label, kind, verdict, stage) (${m("recording.info")})` },
      each("recording.start", " * 1000"),
      { expr: `1000 * (sum by (recording) (${m("recording.start")}) + sum by (recording) (${m("recording.duration")}))` },
      each("recording.duration"),
      each("recording.host.p99"),
      each("recording.late"),
    ]).withTransformation({ id: "joinByField", options: { byField: "recording", mode: "outer" } })
      .withTransformation({ id: "organize", options: {
        excludeByName: { Time: true, "Time 1": true, "Time 2": true, "Time 3": true, "Time 4": true, "Time 5": true, "Time 6": true, "Value #A": true },
        renameByName: { "Value #B": "start", "Value #C": "end", "Value #D": "duration", "Value #E": "p99", "Value #F": "late" },
      } })
      .withTransformation({ id: "sortBy", options: { sort: [{ field: "start", desc: true }] } })
      .overrideByName("start", date).overrideByName("end", date)
      .overrideByName("duration", [{ id: "unit", value: "s" }]).overrideByName("p99", [{ id: "unit", value: "s" }])
      .overrideByName("late", [{ id: "unit", value: "percentunit" }])
      .overrideByName("recording", [{ id: "links", value: [link] }]));
}
