// @ts-check
// How a page starts Python by Pyodide's documentation: a worker, loadPyodide, the wheels unpacked, the packages imported.

const worker = new Worker(new URL('textbook_worker.js', import.meta.url), { type: 'module' });
worker.onmessage = () => performance.mark('answered');
worker.postMessage(new URLSearchParams(location.search).getAll('wheel'));
