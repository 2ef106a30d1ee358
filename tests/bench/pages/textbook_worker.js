// @ts-check
// @ts-ignore: served from node_modules by the benchmark
import { loadPyodide } from '/npm/pyodide/pyodide.mjs';

addEventListener('message', async ({ data: wheels }) => {
  const pyodide = await loadPyodide();
  const unpack = async (/** @type {string} */ wheel) => pyodide.unpackArchive(await (await fetch(`/wheels/${wheel}`)).arrayBuffer(), 'wheel');
  await Promise.all(wheels.map(unpack));
  pyodide.runPython(`
    import sqlite3, msgspec, pydantic

    class Event(pydantic.BaseModel):
        text: str

    sqlite3.connect(":memory:").execute("SELECT 1").fetchone()
  `);
  postMessage('answered');
});
