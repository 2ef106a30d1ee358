// @ts-check
/** Passphrases: choosing one for a file, and opening a file with one. */
import { html } from 'htm/preact';
import { useState } from 'preact/hooks';
import { useApp } from './hooks.js';
import { Dialog } from './dialogs.js';
import { previewRestore, saveFile } from './files.js';
import { Icon } from './icons.js';

/** @typedef {{ currentTarget: HTMLInputElement }} Typed */

/** Choose a passphrase, twice, and save a file with it. */
export function ProtectDialog() {
  const app = useApp();
  const [passphrase, setPassphrase] = useState('');
  const [again, setAgain] = useState('');
  const isReady = passphrase !== '' && passphrase === again;
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!isReady) return;
    app.show(null);
    void saveFile(app, true, passphrase);
  };
  return html`
    <${Dialog} title="Save a protected file">
      <form onSubmit=${save}>
        <p>Nobody can read the file without the passphrase. <b>If you lose it, nobody can help: not even you can open the file then.</b> Several words that
          you make up are better than one.</p>
        <label class="field"><span>Passphrase</span><input type="password" value=${passphrase} autocomplete="new-password" onInput=${(/** @type {Typed} */ event) => setPassphrase(event.currentTarget.value)} /></label>
        <label class="field"><span>The same again</span><input type="password" value=${again} autocomplete="new-password" onInput=${(/** @type {Typed} */ event) => setAgain(event.currentTarget.value)} /></label>
        ${again !== '' && !passphrase.startsWith(again) && html`<p class="bad" role="status"><${Icon} name="warn" />These are not the same.</p>`}
        <footer>
          <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
          <button type="submit" class="button primary" disabled=${!isReady}>Save the file</button>
        </footer>
      </form>
    <//>
  `;
}

/** Ask for the passphrase of a file, and look at what it holds. @param {{ file: File, isWrong?: boolean }} props */
export function OpenDialog({ file, isWrong = false }) {
  const app = useApp();
  const [passphrase, setPassphrase] = useState('');
  const open = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (passphrase === '') return;
    app.show(null);
    void previewRestore(app, file, {}, passphrase);
  };
  return html`
    <${Dialog} title="This file is protected">
      <form onSubmit=${open}>
        <p><b dir="auto">${file.name}</b> opens only with its passphrase.</p>
        ${isWrong && html`<p class="bad" role="alert"><${Icon} name="warn" />That was not its passphrase. Try again.</p>`}
        <label class="field"><span>Passphrase</span><input type="password" value=${passphrase} autocomplete="off" onInput=${(/** @type {Typed} */ event) => setPassphrase(event.currentTarget.value)} /></label>
        <footer>
          <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
          <button type="submit" class="button primary" disabled=${passphrase === ''}>Open it</button>
        </footer>
      </form>
    <//>
  `;
}
