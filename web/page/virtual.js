// @ts-check
/**
 * A long list of rows of any height, of which only those in sight are in the document.
 *
 * Rows are placed absolutely. A row's height is guessed until it has been seen; when guesses above the first visible row turn out
 * wrong, the scroll position moves with it, so that nothing jumps under the reader's eyes.
 */
import { html } from 'htm/preact';
import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';

const OVERSCAN = 500; // pixels above and below that are kept ready

/**
 * @typedef {object} ListHandle
 * @property {(index: number, where?: 'nearest' | 'start' | 'end') => void} show scroll to a row
 * @property {(index: number) => void} focus scroll to a row and focus its first control
 */

/**
 * @template Item
 * @param {object} props
 * @param {readonly Item[]} props.items
 * @param {(item: Item, index: number) => string} props.keyOf
 * @param {(item: Item, index: number) => number} props.guess a row's likely height in pixels
 * @param {(item: Item, index: number) => unknown} props.row its content
 * @param {string} props.label the list's name
 * @param {string} [props.className]
 * @param {boolean} [props.fromEnd] begin at the end, and stay there when rows are added
 * @param {number} [props.keep] a row that stays in the document wherever one scrolls (it may have the focus)
 * @param {number} [props.total] how many rows there are, if not all are given yet
 * @param {() => void} [props.onEnd] the end of the given rows is near
 * @param {(event: KeyboardEvent) => void} [props.onKeyDown]
 * @param {boolean} [props.scrollByKey] the list itself takes the focus, so that keys scroll it
 * @param {{ current: ListHandle | null }} [props.handle]
 */
export function VirtualList({
  items, keyOf, guess, row, label, className = '', fromEnd = false, keep = -1, total, onEnd, onKeyDown, scrollByKey = false, handle,
}) {
  const [, redraw] = useReducer((/** @type {number} */ n) => n + 1, 0);
  const [overscan, setOverscan] = useState(0); // at first only what is in sight: the first frame waits for nothing else
  useEffect(() => setOverscan(OVERSCAN), []);
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const self = useRef({
    heights: /** @type {Map<string, number>} */ (new Map()),
    changed: 0,
    /** the row that must not move, and how far it stands above the upper edge; null: stay at the end */
    anchor: /** @type {{ key: string, above: number } | null} */ (null),
    atEnd: fromEnd,
    height: innerHeight, // until it is known; it is not more than that
    focus: -1,
  }).current;

  const keys = useMemo(() => items.map(keyOf), [items]);
  const offsets = useMemo(() => {
    const result = new Float64Array(items.length + 1);
    for (let i = 0; i < items.length; i++) {
      const key = /** @type {string} */ (keys[i]);
      result[i + 1] = result[i] + (self.heights.get(key) ?? guess(/** @type {Item} */ (items[i]), i));
    }
    return result;
  }, [items, self.changed]);
  const whole = offsets[items.length] ?? 0;

  /** The last row that begins at or above `y`. @param {number} y */
  const rowAt = (y) => {
    let low = 0;
    let high = items.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (offsets[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  const index = useMemo(() => new Map(keys.map((key, i) => [key, i])), [keys]);
  const anchorIndex = self.anchor ? index.get(self.anchor.key) : undefined;
  const top = self.atEnd
    ? Math.max(0, whole - self.height)
    : anchorIndex === undefined ? box.current?.scrollTop ?? 0 : offsets[anchorIndex] + (self.anchor?.above ?? 0);
  const first = items.length ? rowAt(top - overscan) : 0;
  const last = items.length ? rowAt(top + self.height + overscan) : -1;

  const observer = useMemo(() => new ResizeObserver((entries) => {
    let changed = false;
    for (const { target, borderBoxSize } of entries) {
      const height = borderBoxSize[0]?.blockSize ?? 0;
      if (target === box.current) {
        const inner = box.current.clientHeight;
        changed ||= inner !== self.height;
        self.height = inner;
      } else {
        const key = /** @type {HTMLElement} */ (target).dataset.key;
        if (key !== undefined && height > 0 && self.heights.get(key) !== height) {
          self.heights.set(key, height);
          changed = true;
        }
      }
    }
    if (changed) {
      self.changed += 1;
      redraw(0);
    }
  }), []);
  useLayoutEffect(() => () => observer.disconnect(), []);

  useLayoutEffect(() => {
    const element = /** @type {HTMLDivElement} */ (box.current);
    observer.observe(element);
    self.height = element.clientHeight;
  }, []);

  useLayoutEffect(() => {
    const element = /** @type {HTMLDivElement} */ (box.current);
    const wanted = self.atEnd ? element.scrollHeight - element.clientHeight : top;
    if (Math.abs(element.scrollTop - wanted) >= 1) element.scrollTop = wanted;
    if (self.focus >= 0) {
      const control = element.querySelector(`:scope > ul > li[aria-posinset="${self.focus + 1}"] :is(a, button)`);
      self.focus = -1;
      /** @type {HTMLElement | null} */ (control)?.focus({ preventScroll: true });
    }
  });

  useLayoutEffect(() => {
    if (onEnd && last >= items.length - 20) onEnd();
  }, [last, items.length]);

  const onScroll = () => {
    const element = box.current;
    if (element === null) return; // the event was on its way when the list went
    const y = element.scrollTop;
    const at = rowAt(y);
    const key = keys[at];
    self.anchor = key === undefined ? null : { key, above: y - offsets[at] };
    self.atEnd = fromEnd && y + element.clientHeight >= element.scrollHeight - 4;
    redraw(0);
  };

  // Smooth scrolling to an end would be broken off by every row that turns out higher than guessed.
  const onOwnKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const isEnd = event.key === 'End';
    if (event.target !== box.current || !(isEnd || event.key === 'Home')) return;
    event.preventDefault();
    (handle ?? ownHandle).current?.show(isEnd ? items.length - 1 : 0, isEnd ? 'end' : 'start');
  };

  const ownHandle = useRef(/** @type {ListHandle | null} */ (null));
  useImperativeHandle(handle ?? ownHandle, () => {
    const show = (/** @type {number} */ at, where = 'nearest') => {
      const key = keys[at];
      if (key === undefined) return;
      const start = offsets[at];
      const end = offsets[at + 1];
      const now = box.current?.scrollTop ?? 0;
      let y = now;
      if (where === 'start') y = start - 16;
      else if (where === 'end') y = end - self.height;
      else if (start < now) y = start;
      else if (end > now + self.height) y = end - self.height;
      else return;
      y = Math.max(0, Math.min(y, whole - self.height));
      self.atEnd = fromEnd && at === items.length - 1;
      self.anchor = { key, above: y - start };
      redraw(0);
    };
    return {
      show,
      focus: (at) => {
        self.focus = at;
        show(at);
        redraw(0);
      },
    };
  }, [offsets]);

  const shown = [];
  for (let i = first; i <= last; i++) shown.push(i);
  if (keep >= 0 && keep < items.length && (keep < first || keep > last)) shown.push(keep);

  return html`
    <div class="scroller ${className}" ref=${box} onScroll=${onScroll} onKeyDown=${scrollByKey ? onOwnKeyDown : onKeyDown}
      ...${scrollByKey ? { tabIndex: 0, role: 'group', 'aria-label': label } : {}}>
      <ul role="list" aria-label=${label} style=${{ height: `${whole}px` }}>
        ${shown.map((i) => html`
          <${Row} key=${keys[i]} name=${keys[i]} place=${i + 1} of=${total ?? items.length} top=${offsets[i]} observer=${observer}>
            ${row(/** @type {Item} */ (items[i]), i)}
          <//>
        `)}
      </ul>
    </div>
  `;
}

/** @param {{ name: string, place: number, of: number, top: number, observer: ResizeObserver, children?: unknown }} props */
function Row({ name, place, of, top, observer, children }) {
  const element = useRef(/** @type {HTMLLIElement | null} */ (null));
  useLayoutEffect(() => {
    const observed = /** @type {HTMLLIElement} */ (element.current);
    observer.observe(observed);
    return () => observer.unobserve(observed);
  }, []);
  return html`
    <li ref=${element} data-key=${name} aria-setsize=${of} aria-posinset=${place} style=${{ top: `${top}px` }}>${children}</li>
  `;
}
