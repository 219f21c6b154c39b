// A session's last minute at a glance: means of its stages, stacked.
import { useMemo } from 'react';

import type { Schemas } from '@/api/client';
import { stageNames } from '@/capture/graphs';
import { m } from '@/paraglide/messages.js';
import { stageColour } from '@/stages';
import { ms } from '@/units';

const WIDTH = 240;
const HEIGHT = 36;

export function Sparkline({ samples }: { samples: readonly Schemas['StatsSample'][] }) {
  const bars = useMemo(() => {
    const names = stageNames(samples);
    const stacks = samples.map((sample) =>
      names.map((name) => sample.stages.find((stage) => stage.name === name)?.mean_us ?? 0),
    );
    const sums = stacks.map((stack) => stack.reduce((sum, us) => sum + us, 0));
    const scale = HEIGHT / Math.max(1, ...sums);
    const width = WIDTH / 60;
    return stacks.flatMap((stack, at) => {
      let top = HEIGHT;
      return stack.map((us, index) => {
        const height = us * scale;
        top -= height;
        const name = names[index] ?? '';
        return {
          key: `${String(at)}${name}`,
          x: at * width,
          y: top,
          width: width * 0.85,
          height,
          name,
        };
      });
    });
  }, [samples]);
  const last = samples.at(-1);
  return (
    <svg
      viewBox={`0 0 ${String(WIDTH)} ${String(HEIGHT)}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={m.sparkline({ time: ms(last?.host?.p50_us) })}
      className="h-9 w-full"
    >
      {bars.map(({ key, name, ...place }) => (
        <rect key={key} {...place} fill={`var(${stageColour(name)})`} />
      ))}
    </svg>
  );
}
