// The stages of a frame's way and the colour that each has everywhere.

const COLOURED = ['capture', 'submit', 'encode', 'packetize', 'send', 'queue'];

/** The custom property that holds a stage's colour. */
export function stageColour(stage: string): string {
  return COLOURED.includes(stage) ? `--stage-${stage}` : '--stage-other';
}

/** The class that paints a stage's swatch: the policy allows no style in the markup. */
export function stageClass(stage: string): string {
  return `forced-color-adjust-none ${SWATCHES[stage] ?? 'bg-(--stage-other)'}`;
}

const SWATCHES: Record<string, string> = {
  capture: 'bg-(--stage-capture)',
  submit: 'bg-(--stage-submit)',
  encode: 'bg-(--stage-encode)',
  packetize: 'bg-(--stage-packetize)',
  send: 'bg-(--stage-send)',
  queue: 'bg-(--stage-queue)',
};
