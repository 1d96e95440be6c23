// Lines over the last minutes, by uPlot, in the page's colours.

import uPlot from './uplot/uPlot.esm.js';
import { brief, clock } from './format.js';

const WHOLE_STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((n) => [n, 2 * n, 5 * n]);

const drawn = new Set();

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const chart of drawn) chart.redraw(false);
});

const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name);

function scales(span) {
  return {
    x: { time: true, range: span },
    y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.08)] },
  };
}

const FONT = '11px system-ui, sans-serif';
const ruler = document.createElement('canvas').getContext('2d');

/** CSS pixels that a label takes. */
function widthOf(text) {
  ruler.font = FONT;
  return ruler.measureText(text).width;
}

/** Times of day, but for those that the edge of the chart would cut. */
function timesWithin(plot, times) {
  return times.map((time) => {
    const text = clock(time);
    const at = plot.bbox.left / devicePixelRatio + plot.valToPos(time, 'x');
    const half = widthOf(text) / 2 + 1;
    return at >= half && at + half <= plot.width ? text : '';
  });
}

function line(name) {
  return { stroke: colour(`--${name}`), fill: colour(`--${name}-fill`), width: 1.5, points: { show: false } };
}

/** A small line without axes. `data` gives [times, values], `span` the first and the last time. */
export function sparkline(place, data, span, name = 'flight') {
  return keep(place, new uPlot({
    width: place.clientWidth,
    height: place.clientHeight,
    padding: [3, 0, 2, 0],
    cursor: { show: false },
    legend: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: scales(span),
    series: [{}, line(name)],
  }, data(), place), data);
}

/** A line with axes, as wide as its place. */
export function chart(place, data, span, name) {
  const axis = {
    stroke: colour('--ink-2'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: FONT,
  };
  return keep(place, new uPlot({
    width: place.clientWidth,
    height: place.clientHeight,
    padding: [6, 2, 0, 0],
    cursor: { show: false },
    legend: { show: false },
    axes: [
      { ...axis, size: 22, gap: 4, space: 76, values: timesWithin },
      {
        ...axis,
        size: (_, labels) => 8 + Math.max(0, ...(labels ?? []).map(widthOf)),
        gap: 4,
        space: 20,
        incrs: WHOLE_STEPS,
        values: (_, amounts) => amounts.map(brief),
      },
    ],
    scales: scales(span),
    series: [{}, line(name)],
  }, data(), place), data);
}

/** With `update`, and `end` to let go of it. */
function keep(place, plot, data) {
  const resized = new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = place;
    if (width && (width !== plot.width || height !== plot.height)) plot.setSize({ width, height });
  });
  resized.observe(place);
  drawn.add(plot);
  return {
    update: () => plot.setData(data()),
    end: () => {
      drawn.delete(plot);
      resized.disconnect();
      plot.destroy();
    },
  };
}
