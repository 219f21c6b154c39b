// The colour of every figure that is drawn in more than one place, for dashboards and console alike.
//
// The stages' colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), which colour-blind people tell apart, at least as
// dark as a white background needs and as light as a dark one does. Red is not among them: nothing is red unless it is bad.

export interface Colour {
  readonly light: string;
  readonly dark: string;
}

/** Stages of all paths, in the order in which they are stacked. */
export const STAGES = ["capture", "submit", "encode", "packetize", "send", "queue"] as const;

export type Stage = (typeof STAGES)[number];

export const STAGE_COLOURS: Readonly<Record<Stage, Colour>> = {
  capture: { light: "#0072b2", dark: "#4aa3df" },
  submit: { light: "#3a96cc", dark: "#8fcdf2" },
  encode: { light: "#c77b00", dark: "#e69f00" },
  packetize: { light: "#a08c00", dark: "#d9c74a" },
  send: { light: "#009e73", dark: "#2fc79c" },
  queue: { light: "#7a7a7a", dark: "#a6a6a6" },
};

export const COLOURS = {
  host: { light: "#6a4c93", dark: "#b79ae0" },
  new: { light: "#0072b2", dark: "#4aa3df" },
  repeat: { light: "#7a7a7a", dark: "#a6a6a6" },
  goodput: { light: "#009e73", dark: "#2fc79c" },
  target: { light: "#7a7a7a", dark: "#a6a6a6" },
  other: { light: "#b05a8c", dark: "#cc79a7" },
  bad: { light: "#c4162a", dark: "#f2495c" },
} as const satisfies Record<string, Colour>;

/** One that can be read on both backgrounds, for Grafana, where a dashboard has one colour for both themes. */
export const onBoth = (colour: Colour): string => mix(colour.light, colour.dark);

function mix(a: string, b: string): string {
  const channel = (colour: string, at: number) => parseInt(colour.slice(at, at + 2), 16);
  const middle = [1, 3, 5].map((at) => Math.round((channel(a, at) + channel(b, at)) / 2));
  return "#" + middle.map((value) => value.toString(16).padStart(2, "0")).join("");
}
