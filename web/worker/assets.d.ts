/** The module that the build generates: what the boot loads, under its hashed names. */

/** `module:attribute` of the application's schema. */
export const app: string;
/** The application's own wheels, installed at boot. */
export const wheels: string[];
/** Pyodide's loader and Emscripten's factory. */
export const loader: () => Promise<{ loadPyodide: (options: object) => Promise<any> }>;
export const glue: () => Promise<{ default: (settings: any) => Promise<any> }>;
export const wasm: string;
export const standardLibrary: string;
export const sitePackages: string;
export const extensions: { module: string; file: string; url: string }[];
export const snapshot: { url: string; layout: import('./python.js').Layout };
export const lockFile: object;
