// @ts-check
/** Dialogs: the frame, a question for a text, a question whose answer cannot be taken back. */
import { html } from 'htm/preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { useApp } from './hooks.js';
import { Icon } from './icons.js';

/**
 * The frame of every dialog. Escape and the cross close it; what had the focus gets it back.
 * @param {{ title: string, children?: unknown, onClose?: () => void }} props
 */
export function Dialog({ title, children, onClose }) {
  const app = useApp();
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const name = useId();
  useEffect(() => {
    const before = document.activeElement;
    const dialog = /** @type {HTMLDialogElement} */ (element.current);
    dialog.showModal();
    // What is asked is read from its beginning, also where the answer is below the edge.
    /** @type {HTMLElement | null} */ (dialog.querySelector('[autofocus], input:not([type=radio]), .primary'))?.focus({ preventScroll: true });
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const close = onClose ?? (() => app.show(null));
  return html`
    <dialog ref=${element} aria-labelledby=${name} onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); close(); }}>
      <header>
        <h2 id=${name}>${title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick=${close}><${Icon} name="close" /></button>
      </header>
      ${children}
    </dialog>
  `;
}

/**
 * Ask for a short text.
 * @param {{ title: string, label: string, value?: string, action: string, max?: number, hint?: string, onDone: (text: string) => unknown }} props
 */
export function PromptDialog({ title, label, value = '', action, max = 200, hint, onDone }) {
  const app = useApp();
  const [text, setText] = useState(value);
  const isEmpty = text.trim() === '';
  const done = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isEmpty) return;
    app.show(null);
    onDone(text.trim());
  };
  return html`
    <${Dialog} title=${title}>
      <form onSubmit=${done}>
        <label class="field"><span>${label}</span>
          <input type="text" value=${text} maxLength=${max} dir="auto" autocomplete="off" onFocus=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => event.currentTarget.select()}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setText(event.currentTarget.value)} />
        </label>
        ${hint && html`<p class="small">${hint}</p>`}
        <footer>
          <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
          <button type="submit" class="button primary" disabled=${isEmpty}>${action}</button>
        </footer>
      </form>
    <//>
  `;
}

/**
 * Ask for the name typed, before what cannot be taken back.
 * @param {{ title: string, name: string, action: string, children?: unknown, onDone: () => unknown }} props
 */
export function TypedNameDialog({ title, name, action, children, onDone }) {
  const app = useApp();
  const [text, setText] = useState('');
  const isSure = text.normalize().trim() === name.normalize().trim();
  const done = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!isSure) return;
    app.show(null);
    onDone();
  };
  return html`
    <${Dialog} title=${title}>
      <form onSubmit=${done}>
        ${children}
        <label class="field"><span>To go on, type the name: <b dir="auto">${name}</b></span>
          <input type="text" value=${text} dir="auto" autocomplete="off" spellcheck=${false}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setText(event.currentTarget.value)} />
        </label>
        <footer>
          <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
          <button type="submit" class="button danger" disabled=${!isSure}>${action}</button>
        </footer>
      </form>
    <//>
  `;
}
