/** What Pyodide's own types leave out. */

declare module 'pyodide/pyodide.asm.mjs' {
  /** Emscripten's factory. */
  export default function createPyodideModule(settings: any): Promise<any>;
}
