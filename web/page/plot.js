// @ts-check
/**
 * Events over time, as bars, and a moment among them that is chosen by dragging or by keys.
 *
 * The bars are drawn by uPlot, for the eye only. The moment is a range input over them, so that mouse, touch, keys and screen
 * readers find what they know.
 */
import { html } from 'htm/preact';
import { useEffect, useRef } from 'preact/hooks';

/** @typedef {import('../pystore.js').Activity} Activity */

const KEYS = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 });

/**
 * @param {object} props
 * @param {Activity} props.activity
 * @param {number[]} props.bars how many events there were in each span of it
 * @param {number | null} props.moment in milliseconds; null is now, and stands at the end
 * @param {string} props.said the moment in words
 * @param {(moment: number | null) => void} props.onMove told at every step of dragging
 */
export function Plot({ activity, bars, moment, said, onMove }) {
  const start = new Date(activity.since).getTime();
  const end = start + bars.length * activity.bucket_ms;
  const at = Math.min(Math.max(moment ?? end, start), end);
  /** @param {number} next */
  const move = (next) => onMove(next >= end ? null : Math.max(start, Math.round(next)));
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const steps = KEYS[event.key];
    if (steps === undefined && event.key !== 'Home' && event.key !== 'End') return;
    event.preventDefault();
    move(event.key === 'Home' ? start : event.key === 'End' ? end : at + /** @type {number} */ (steps) * activity.bucket_ms);
  };
  return html`
    <div class="plot">
      <${Bars} start=${start} span=${activity.bucket_ms} bars=${bars} />
      <div class="plot-later" style=${{ insetInlineStart: `${100 * (at - start) / (end - start)}%` }} aria-hidden="true"></div>
      <input type="range" min=${start} max=${end} step="1" value=${at} aria-label="Moment" aria-valuetext=${said}
        onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => move(event.currentTarget.valueAsNumber)} onKeyDown=${onKeyDown} />
    </div>
  `;
}

/** @param {{ start: number, span: number, bars: number[] }} props */
function Bars({ start, span, bars }) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  useEffect(() => {
    const element = /** @type {HTMLDivElement} */ (place.current);
    /** @type {() => void} */ let end = () => {};
    let isOver = false;
    void import('uplot').then(({ default: uPlot }) => {
      if (!isOver) end = draw(uPlot, element, start, span, bars);
    });
    return () => {
      isOver = true;
      end();
    };
  }, [start, span, bars]);
  return html`<div class="plot-bars" ref=${place} aria-hidden="true"></div>`;
}

/**
 * @param {typeof import('uplot')} uPlot @param {HTMLElement} element @param {number} start @param {number} span @param {number[]} bars
 * @returns {() => void} ends it
 */
function draw(uPlot, element, start, span, bars) {
  const colour = (/** @type {string} */ name) => () => getComputedStyle(element).getPropertyValue(name).trim();
  const size = () => ({ width: Math.max(element.clientWidth, 40), height: element.clientHeight });
  const times = bars.map((_, i) => (start + i * span) / 1000);
  const end = (start + bars.length * span) / 1000;
  // Beside an import of thousands a day with ten messages would not be seen: heights grow with the square root.
  const heights = bars.map(Math.sqrt);
  const plot = new uPlot({
    ...size(),
    padding: [4, 0, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: { x: { time: true, range: [start / 1000, end] }, y: { range: [0, Math.max(1, ...heights)] } },
    axes: [
      {
        stroke: colour('--quiet'), font: `12px ${getComputedStyle(element).fontFamily}`, size: 24, gap: 4, space: 80,
        grid: { show: false }, ticks: { stroke: colour('--line'), size: 4 },
        values: (self, splits, _, __, step) => labels(splits, step).map((label, i, all) => {
          // Neither cut off at an end, nor said twice.
          const x = self.valToPos(/** @type {number} */ (splits[i]), 'x');
          const room = label.length * 3.5;
          return x < room || x > self.width - room || label === all[i - 1] ? '' : label;
        }),
      },
      { show: false },
    ],
    series: [{}, { fill: colour('--accent'), width: 0, points: { show: false }, paths: uPlot.paths.bars?.({ size: [1, Infinity], align: 1, gap: 1 }) }],
  }, [times, heights], element);
  const resized = new ResizeObserver(() => plot.setSize(size()));
  resized.observe(element);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const redraw = () => plot.redraw(false);
  dark.addEventListener('change', redraw);
  return () => {
    resized.disconnect();
    dark.removeEventListener('change', redraw);
    plot.destroy();
  };
}

const DAY_S = 86_400;
const year = new Intl.DateTimeFormat(undefined, { year: 'numeric' });
const month = new Intl.DateTimeFormat(undefined, { month: 'short' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const second = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** What stands below the ticks: as much of each time as tells it from the one before. @param {number[]} splits in seconds @param {number} step */
function labels(splits, step) {
  return splits.map((at, i) => {
    const then = new Date(at * 1000);
    const before = i > 0 ? new Date(/** @type {number} */ (splits[i - 1]) * 1000) : null;
    if (step >= 360 * DAY_S) return year.format(then);
    if (step >= 28 * DAY_S) return then.getFullYear() === before?.getFullYear() ? month.format(then) : `${month.format(then)} ${year.format(then)}`;
    if (step >= DAY_S || then.getHours() + then.getMinutes() + then.getSeconds() === 0) return date.format(then);
    return step >= 60 ? time.format(then) : second.format(then);
  });
}
