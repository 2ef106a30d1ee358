// @ts-check
// @ts-ignore: served from node_modules by the benchmark
import { loadPyodide } from '/npm/pyodide/pyodide.mjs';

addEventListener('unhandledrejection', ({ reason }) => { throw reason; }); // the page is told
addEventListener('message', async ({ data: [wheels, lines] }) => {
  const pyodide = await loadPyodide();
  const unpack = async (/** @type {string} */ wheel) => pyodide.unpackArchive(await (await fetch(`/wheels/${wheel}`)).arrayBuffer(), 'wheel');
  await Promise.all(wheels.map(unpack));
  pyodide.runPython(await (await fetch('/bench/floor.py')).text());
  postMessage(pyodide.globals.get('measure')(lines));
});
