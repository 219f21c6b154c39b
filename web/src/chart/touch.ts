// What a finger does on a graph: across, it moves the cursor and chooses what is zoomed to; up and down, it scrolls the page.
import { useRef, type PointerEvent, type RefObject } from 'react';
import type uPlot from 'uplot';

/** A finger trembles: less than so many pixels is a tap. */
const TAP_PX = 12;

export function useTouch(plot: RefObject<uPlot | null>, chosen: (u: uPlot) => void) {
  const start = useRef<number | null>(null);
  const place = (u: uPlot, event: PointerEvent) => {
    const { left, width } = u.over.getBoundingClientRect();
    return Math.min(width, Math.max(0, event.clientX - left));
  };
  const select = (u: uPlot, left: number, width: number) =>
    u.setSelect({ left, width, top: 0, height: u.over.clientHeight }, false);
  return {
    onPointerDown: (event: PointerEvent) => {
      const u = plot.current;
      if (event.pointerType === 'touch' && u) start.current = place(u, event);
    },
    onPointerMove: (event: PointerEvent) => {
      const u = plot.current;
      if (u === null || start.current === null) return;
      const now = place(u, event);
      u.setCursor({ left: now, top: 10 });
      const width = Math.abs(now - start.current);
      select(u, Math.min(now, start.current), width < TAP_PX ? 0 : width);
    },
    onPointerUp: () => {
      const u = plot.current;
      if (u && start.current !== null) chosen(u);
      start.current = null;
    },
    /** The page scrolls instead. */
    onPointerCancel: () => {
      if (plot.current && start.current !== null) select(plot.current, 0, 0);
      start.current = null;
    },
  };
}
