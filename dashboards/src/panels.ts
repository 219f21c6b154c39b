// What all panels have in common: datasource, legends, colours, units. A panel cannot be made without a description and a unit.

import { AnnotationQueryBuilder, DashboardBuilder, DashboardCursorSync, DashboardLinkBuilder, DashboardLinkType,
  DatasourceVariableBuilder, QueryVariableBuilder, VariableHide, VariableRefresh, VariableSort,
  type DynamicConfigValue } from "@grafana/grafana-foundation-sdk/dashboard";
import * as common from "@grafana/grafana-foundation-sdk/common";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as HeatmapBuilder } from "@grafana/grafana-foundation-sdk/heatmap";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

import { COLOURS, onBoth } from "./colours";

export const DATASOURCE: common.DataSourceRef = { type: "prometheus", uid: "${datasource}" };

/** One query of a panel. */
export interface Query {
  expr: string;
  /** Name of the series; empty for tables. */
  legend?: string;
  /** Shortest step: the interval at which the data comes. */
  step?: string;
  instant?: boolean;
  heatmap?: boolean;
}

/** Figures of frames come once a second. */
export const EACH_SECOND = "1s";

export interface Place {
  id: number;
  title: string;
  description: string;
  unit: string;
  x: number;
  y: number;
  w: number;
  h: number;
}

function target(query: Query, index: number): DataqueryBuilder {
  const built = new DataqueryBuilder().refId(String.fromCharCode(65 + index)).expr(query.expr).exemplar(false).datasource(DATASOURCE);
  if (query.legend !== undefined) built.legendFormat(query.legend);
  if (query.step !== undefined) built.interval(query.step);
  if (query.heatmap === true) built.format(PromQueryFormat.Heatmap);
  if (query.instant === true) built.instant().format(PromQueryFormat.Table);
  else built.range();
  return built;
}

export const fixed = (colour: string): DynamicConfigValue[] => [{ id: "color", value: { mode: "fixed", fixedColor: colour } }];

export const dashed = (colour: string): DynamicConfigValue[] => [
  ...fixed(colour),
  { id: "custom.lineStyle", value: { fill: "dash", dash: [8, 6] } },
  { id: "custom.fillOpacity", value: 0 },
  { id: "custom.stacking", value: { mode: "none" } },
];

/** Lines; `stacked` fills and stacks those that are not dashed. */
export function lines(place: Place, queries: Query[], stacked = false): TimeseriesBuilder {
  const panel = new TimeseriesBuilder()
    .id(place.id).title(place.title).description(place.description).unit(place.unit).datasource(DATASOURCE)
    .gridPos({ x: place.x, y: place.y, w: place.w, h: place.h })
    .min(0).lineWidth(stacked ? 1 : 2).fillOpacity(stacked ? 60 : 0)
    .showPoints(common.VisibilityMode.Never)
    // A gap is a gap.
    .spanNulls(false)
    .legend(new common.VizLegendOptionsBuilder().displayMode(common.LegendDisplayMode.Table)
      .placement(common.LegendPlacement.Bottom).showLegend(true).calcs(["mean", "max"]))
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.None));
  if (stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
  queries.forEach((query, index) => panel.withTarget(target(query, index)));
  return panel;
}

export function heatmap(place: Place, query: Query): HeatmapBuilder {
  return new HeatmapBuilder()
    .id(place.id).title(place.title).description(place.description).unit(place.unit).datasource(DATASOURCE)
    .gridPos({ x: place.x, y: place.y, w: place.w, h: place.h })
    // Each column carries a whole distribution: enough to see when it changed, and a tenth of what a line's points would cost.
    .maxDataPoints(120).calculate(false).showLegend().withTarget(target({ ...query, heatmap: true }, 0));
}

/** Instant queries side by side, joined by their labels. */
export function table(place: Place, queries: Query[]): TableBuilder {
  const panel = new TableBuilder()
    .id(place.id).title(place.title).description(place.description).unit(place.unit).datasource(DATASOURCE)
    .gridPos({ x: place.x, y: place.y, w: place.w, h: place.h });
  queries.forEach((query, index) => panel.withTarget(target({ ...query, instant: true }, index)));
  return panel;
}

export function stat(place: Place, queries: Query[]): StatBuilder {
  const panel = new StatBuilder()
    .id(place.id).title(place.title).description(place.description).unit(place.unit).datasource(DATASOURCE)
    .gridPos({ x: place.x, y: place.y, w: place.w, h: place.h })
    .colorMode(common.BigValueColorMode.None).graphMode(common.BigValueGraphMode.None);
  queries.forEach((query, index) => panel.withTarget(target(query, index)));
  return panel;
}

export const datasource = () => new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");

export function choice(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name).label(label).datasource(DATASOURCE).query({ query, refId: name })
    .definition(query).refresh(VariableRefresh.OnTimeRangeChanged).sort(VariableSort.AlphabeticalAsc);
}

export const hidden = (variable: QueryVariableBuilder): QueryVariableBuilder => variable.hide(VariableHide.HideVariable);

export const annotation = (name: string, expr: string, title: string, text: string): AnnotationQueryBuilder =>
  new AnnotationQueryBuilder().name(name).datasource(DATASOURCE).enable(true).iconColor(onBoth(COLOURS.other))
    .expr(expr).titleFormat(title).textFormat(text).step(EACH_SECOND);

const link = (title: string, url: string, keepTime = false): DashboardLinkBuilder =>
  new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).keepTime(keepTime);

const OTHERS = [
  ["Overview", "punktfunk-overview"],
  ["Live session", "punktfunk-live"],
  ["Recordings", "punktfunk-recordings"],
] as const;

/** A dashboard with its links to the others. */
export function dashboard(uid: string, title: string, description: string): DashboardBuilder {
  const built = new DashboardBuilder(title).uid(uid).description(description).tags(["punktfunk"])
    .readonly().tooltip(DashboardCursorSync.Crosshair).timezone("browser").withVariable(datasource());
  for (const [name, other] of OTHERS) {
    if (other !== uid) built.link(link(name, `/d/${other}`));
  }
  built.link(link("Console", "http://127.0.0.1:47990/"));
  built.link(link("Runbooks", "https://github.com/punktfunk/punktfunk/tree/main/deploy/runbooks"));
  return built;
}
