// Colours of the graphs, read off the style sheet: canvas knows no custom properties.

/** What a custom property of the theme stands for now, as `rgb(…)`. */
export function colour(property: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${property})`;
  // Where the reader's system chooses the colours, series are told apart all the same.
  probe.style.forcedColorAdjust = 'none';
  probe.hidden = true;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** The same, fainter: `opacity` 0–1. */
export const faint = (rgb: string, opacity: number) =>
  rgb.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3,${String(opacity)})`);

export const FONT = '12px Inter, ui-sans-serif, system-ui, sans-serif';

/** Colour and name of each kind of marker's line. */
export const MARKER_COLOUR = {
  idr: '--muted',
  bitrate: '--accent-text',
  join: '--good',
  leave: '--warn',
  loss_burst: '--bad',
  operator: '--accent-text',
} as const;
