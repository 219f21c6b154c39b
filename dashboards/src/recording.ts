// One saved recording, read from the host by remote read, with another one laid beside it.

import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";

import { COLOURS, onBoth } from "./colours";
import { about, m } from "./metrics";
import { EACH_SECOND, annotation, choice, dashboard, dashed, fixed, hidden, lines, table } from "./panels";
import { streamPanels } from "./stream";

export function recording(): DashboardBuilder {
  const saved = 'source="recording"';
  const own = `${saved}, recording="$recording"`;
  const other = `${saved}, recording="$compare"`;
  const start = m("recording.start");
  const built = dashboard("punktfunk-recording", "Punktfunk / Recording", "A saved recording, long after Prometheus' retention. Open it from the list of recordings, at its time range.")
    .time({ from: "now-1h", to: "now" })
    .withVariable(choice("recording", "Recording", `label_values(${m("capture.info")}{${saved}}, recording)`))
    .withVariable(choice("compare", "Beside it", `label_values(${start}{${saved}}, recording)`))
    .withVariable(choice("stage", "Stage", `label_values(${m("frame.stage.duration")}{${own}}, stage)`))
    // Seconds from the beginning of the other recording to that of this one.
    .withVariable(hidden(choice("shift", "Shift", `query_result(round(${start}{${own}} - on () ${start}{${other}}))`).regex("/ (-?[0-9]+) /")))
    .annotation(annotation("Markers", `1000 * ${m("recording.marker.timestamp")}{${own}}`, "{{kind}}", "{{text}}").useValueForTime(true))
    .withPanel(table({
      id: 13, title: "Whole recording", unit: "s", x: 0, y: 0, w: 24, h: 7,
      description: `${about("frame.stage.duration")} Over the whole time range, which is the recording's if it was opened from the list. \`frames\` counts exactly; quantiles are within 1.1 %.`,
    }, [
      ...[0.5, 0.95, 0.99].map((q) => ({
        expr: `histogram_quantile(${q}, sum by (session_id, stage) (last_over_time(${m("frame.stage.duration")}{${own}}[$__range])))`,
      })),
      { expr: `histogram_avg(sum by (session_id, stage) (last_over_time(${m("frame.stage.duration")}{${own}}[$__range])))` },
      { expr: `histogram_count(sum by (session_id, stage) (last_over_time(${m("frame.stage.duration")}{${own}}[$__range])))` },
    ]).withTransformation({ id: "merge", options: {} })
      .withTransformation({ id: "organize", options: {
        excludeByName: { Time: true },
        renameByName: { "Value #A": "p50", "Value #B": "p95", "Value #C": "p99", "Value #D": "mean", "Value #E": "frames" },
      } }).overrideByName("frames", [{ id: "unit", value: "none" }]));
  for (const panel of streamPanels(own, 7)) built.withPanel(panel);
  const host = (which: string, shift: string) =>
    `histogram_quantile(0.99, sum(rate(${m("frame.host.duration")}{${which}}[$__rate_interval]${shift})))`;
  const fps = (which: string, shift: string) => `sum(rate(${m("frame.sent")}{${which}, frame_origin="new"}[$__rate_interval]${shift}))`;
  const beside = (id: number, title: string, unit: string, x: number, description: string, query: (which: string, shift: string) => string) =>
    lines({ id, title, unit, x, y: 52, w: 12, h: 9, description }, [
      { expr: query(own, ""), legend: "$recording", step: EACH_SECOND },
      { expr: query(other, " offset ${shift}s"), legend: "$compare (beside)", step: EACH_SECOND },
    ]).overrideByRegexp("/beside/", dashed(onBoth(COLOURS.other))).overrideByRegexp("/^[^(]+$/", fixed(onBoth(COLOURS.host)));
  return built
    .withPanel(beside(14, "Host duration p99, beside the other", "s", 0, `${about("frame.host.duration")} Both recordings from their beginning.`, host))
    .withPanel(beside(15, "New pictures, beside the other", "fps", 12, `${about("frame.sent")} Both recordings from their beginning.`, fps));
}
