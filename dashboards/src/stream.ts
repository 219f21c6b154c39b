// The panels of a stream: the same over a live session and over a saved recording, which has the live metrics' names.

import type { AnyPanel } from "./types";
import { COLOURS, STAGES, STAGE_COLOURS, onBoth } from "./colours";
import { about, m } from "./metrics";
import { EACH_SECOND, dashed, fixed, heatmap, lines, type Query } from "./panels";

const RATE = "[$__rate_interval]";

const each = (query: Query): Query => ({ step: EACH_SECOND, ...query });

/** Panels 1 to 9 and 11. `own`: label matchers that choose the stream. */
export function streamPanels(own: string, top: number): AnyPanel[] {
  const stage = (name: string) => `${m("frame.stage.duration")}{${own}, stage="${name}"}`;
  const rate = (metric: string, more = "") => `rate(${m(metric)}{${own}${more}}${RATE})`;
  const host = `sum(${rate("frame.host.duration")})`;
  const coloured = <P extends ReturnType<typeof lines>>(panel: P): P => {
    for (const name of STAGES) panel.overrideByName(name, fixed(onBoth(STAGE_COLOURS[name])));
    return panel;
  };
  const half = { w: 12, h: 9 };
  const quantiles = (q: number) =>
    STAGES.map((name) => each({ expr: `histogram_quantile(${q}, sum(rate(${stage(name)}${RATE})))`, legend: name }));

  const mean = coloured(lines({
    id: 1, title: "Stages, mean", unit: "s", x: 0, y: top, ...half,
    description: `${about("frame.stage.duration")} Each band is a stage's mean over all frames, so the bands sum exactly to the mean of the whole way.`,
  }, [
    ...STAGES.map((name) => each({
      expr: `histogram_sum(sum(rate(${stage(name)}${RATE}))) / histogram_count(${host})`, legend: name,
    })),
    each({ expr: `max(${m("session.frame.budget")}{${own}})`, legend: "frame budget" }),
  ], true)).overrideByName("frame budget", dashed(onBoth(COLOURS.target)));

  const whole = lines({
    id: 2, title: "Host duration", unit: "s", x: 12, y: top, ...half,
    description: `${about("frame.host.duration")} The dashed lines are the time between two frames and the latency target; above the target a frame is late.`,
  }, [
    each({ expr: `histogram_quantile(0.5, ${host})`, legend: "p50" }),
    each({ expr: `histogram_quantile(0.99, ${host})`, legend: "p99" }),
    each({ expr: `max(${m("frame.host.duration.max")}{${own}})`, legend: "longest" }),
    each({ expr: `max(${m("session.frame.budget")}{${own}})`, legend: "frame budget" }),
    each({ expr: `max(${m("session.latency.target")}{${own}})`, legend: "latency target" }),
  ]).overrideByName("p50", fixed(onBoth(STAGE_COLOURS.capture))).overrideByName("p99", fixed(onBoth(COLOURS.host)))
    .overrideByName("longest", fixed(onBoth(COLOURS.other)))
    .overrideByName("frame budget", dashed(onBoth(COLOURS.target))).overrideByName("latency target", dashed(onBoth(COLOURS.host)));

  const p50 = coloured(lines({
    id: 3, title: "Stages, median", unit: "s", x: 0, y: top + 9, ...half,
    description: `${about("frame.stage.duration")} Half of the frames needed less. Medians do not sum to the median of the whole way.`,
  }, quantiles(0.5)));
  const p99 = coloured(lines({
    id: 4, title: "Stages, 99th percentile", unit: "s", x: 12, y: top + 9, ...half,
    description: `${about("frame.stage.duration")} One frame in a hundred needed more. Percentiles do not sum to that of the whole way.`,
  }, quantiles(0.99)));
  const spread = heatmap({
    id: 5, title: "Distribution of $stage", unit: "s", x: 0, y: top + 18, ...half,
    description: `${about("frame.stage.duration")} How many frames a second needed how long, for the stage that is chosen above.`,
  }, each({ expr: `sum(rate(${m("frame.stage.duration")}{${own}, stage="$stage"}${RATE}))`, legend: "{{le}}" }));
  const fps = lines({
    id: 6, title: "Frames a second", unit: "fps", x: 12, y: top + 18, ...half,
    description: `${about("frame.sent")} A repeated picture is sent when the source gave nothing new. The dashed line is the granted rate.`,
  }, [
    each({ expr: `sum(${rate("frame.sent", ', frame_origin="new"')})`, legend: "new" }),
    each({ expr: `sum(${rate("frame.sent", ', frame_origin="repeat"')})`, legend: "repeated" }),
    each({ expr: `sum(1 / ${m("session.frame.budget")}{${own}})`, legend: "granted" }),
  ], true).overrideByName("new", fixed(onBoth(COLOURS.new))).overrideByName("repeated", fixed(onBoth(COLOURS.repeat)))
    .overrideByName("granted", dashed(onBoth(COLOURS.target)));
  const goodput = lines({
    id: 7, title: "Goodput against target", unit: "bps", x: 0, y: top + 27, ...half,
    description: `${about("network.io")} Bits a second of encoded pictures, without parity and headers, beside what the encoder was told to aim at.`,
  }, [
    each({ expr: `8 * sum(${rate("network.io", ', kind="media"')})`, legend: "goodput" }),
    each({ expr: `8 * sum(${m("encoder.target_rate")}{${own}})`, legend: "target" }),
    each({ expr: `8 * sum(${rate("network.io", ', kind="fec"')})`, legend: "parity" }),
  ]).overrideByName("goodput", fixed(onBoth(COLOURS.goodput))).overrideByName("target", dashed(onBoth(COLOURS.target)))
    .overrideByName("parity", fixed(onBoth(COLOURS.other)));
  const loss = lines({
    id: 8, title: "Lost, rebuilt, dropped", unit: "short", x: 12, y: top + 27, ...half,
    description: `A second: packets that the client reported missing, shards that it rebuilt from parity, packets that the kernel did not take, and frames that were dropped on the host. ${about("frame.dropped")}`,
  }, [
    each({ expr: `sum(${rate("packet.lost")})`, legend: "packets lost" }),
    each({ expr: `sum(${rate("fec.recovered")})`, legend: "shards rebuilt" }),
    each({ expr: `sum(${rate("packet.send_dropped")})`, legend: "packets not taken" }),
    each({ expr: `sum(${rate("frame.dropped")})`, legend: "frames dropped" }),
  ]).overrideByName("packets lost", fixed(onBoth(COLOURS.bad))).overrideByName("shards rebuilt", fixed(onBoth(COLOURS.goodput)))
    .overrideByName("packets not taken", fixed(onBoth(COLOURS.other))).overrideByName("frames dropped", fixed(onBoth(STAGE_COLOURS.encode)));
  const rtt = lines({
    id: 9, title: "Round trip", unit: "s", x: 0, y: top + 36, ...half,
    description: `${about("session.rtt")} Measured on the control connection, from a packet's departure to its acknowledgement.`,
  }, [each({ expr: `max by (session_id) (${m("session.rtt")}{${own}})`, legend: "{{session_id}}" })]);
  const late = coloured(lines({
    id: 11, title: "Late frames, by stage at fault", unit: "short", x: 12, y: top + 36, ...half,
    description: `${about("frame.late")} A second.`,
  }, [each({ expr: `sum by (stage) (${rate("frame.late")})`, legend: "{{stage}}" })], true));
  return [mean, whole, p50, p99, spread, fps, goodput, loss, rtt, late];
}
