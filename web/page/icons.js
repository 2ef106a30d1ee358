// @ts-check
/** A small set of line icons, 20 x 20. They say nothing to a screen reader: the control they stand in has a name. */
import { html } from 'htm/preact';

const PATHS = {
  archive: 'M3 4h14v4H3zM4.5 8v8h11V8M8 11h4',
  back: 'M12.5 4 6.5 10l6 6',
  chats: 'M3 4h14v9.5H9L5.5 17v-3.5H3z',
  check: 'M4 10.5 8 14.5 16 6',
  chevron: 'M5.5 8 10 12.5 14.5 8',
  clock: 'M10 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM10 6v4l3 2',
  close: 'M5 5l10 10M15 5 5 15',
  data: 'M10 3c3.9 0 7 1.1 7 2.5S13.9 8 10 8 3 6.9 3 5.5 6.1 3 10 3zM3 5.5v4.5c0 1.4 3.1 2.5 7 2.5s7-1.1 7-2.5V5.5M3 10v4.5C3 15.9 6.1 17 10 17s7-1.1 7-2.5V10',
  down: 'M10 3v10M5.5 9 10 13.5 14.5 9M3.5 17h13',
  edit: 'M4 16l.8-3.6L13.5 3.7l2.8 2.8-8.7 8.7zM11.8 5.4l2.8 2.8',
  next: 'M7.5 4l6 6-6 6',
  plus: 'M10 4v12M4 10h12',
  redo: 'M12.5 4 16 7.500 12.5 11M16 7.500H8a4.2 4.2 0 0 0 0 8.500h3',
  search: 'M9 3.500a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM13 13l4 4',
  send: 'M3 10 17 3.5 13 17l-3.5-5.5zM9.5 11.5 17 3.5',
  undo: 'M7.500 4 4 7.500 7.500 11M4 7.500h8a4.2 4.2 0 0 1 0 8.500H9',
  up: 'M10 14V4M5.5 8 10 3.5 14.5 8M3.5 17h13',
  warn: 'M10 3 18 17H2zM10 8v4M10 14.5v.1',
};

/**
 * @param {{ name: keyof typeof PATHS }} props
 */
export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>
`;
