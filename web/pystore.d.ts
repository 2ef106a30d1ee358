/** The JavaScript client of pystore. Every rejection is a `PyStoreError`. */

export class PyStoreError extends Error {
  constructor(code: string, message: string, details?: Record<string, any>);
  /** The name of the error's kind, e.g. `ValidationError`, `QuotaError`, `OutcomeUnknownError`. */
  readonly code: string;
  readonly details: Record<string, any>;
}

/** How a store is: one state, and a sentence for a person. */
export interface State {
  state: 'booting' | 'ready' | 'saving' | 'saved' | 'read-only' | 'error' | 'restarting';
  message: string;
}

/** `stage` is a word for what is being done; `done` of `total` steps are. */
export type Progress = (stage: string, done: number, total: number) => void;
export type Durability = 'strict' | 'relaxed';
export type Parameters = unknown[] | Record<string, unknown>;
export type Row = Record<string, any>;

export interface Appended {
  id: string;
  hlc: string;
}

export interface Info {
  log: string;
  name: string;
  events: number;
  replica: string;
  /** Why nothing can be written, or null. */
  read_only: string | null;
  /** Events that stopped the program twice and are left out of the view. */
  quarantined: string[];
}

export interface Store {
  readonly log: string;
  /** What was known of the log when it was opened. */
  readonly info: Info;
  query<T = Row>(sql: string, parameters?: Parameters): Promise<T[]>;
  watch<T = Row>(sql: string, parameters: Parameters, listener: (rows: T[]) => void, failed?: (error: Error) => void): () => void;
  events(which?: { before?: string; after?: string; types?: string[]; limit?: number }): Promise<any[]>;
  append(events: { type: string; data: object } | { type: string; data: object }[], options?: { batch?: string; durability?: Durability }): Promise<Appended[]>;
  flush(): Promise<null>;
  rename(name: string): Promise<null>;
  save(options?: { gzip?: boolean; onProgress?: Progress }): Promise<Blob>;
  inspect(file: Blob, options?: { onProgress?: Progress }): Promise<any>;
  restore(file: Blob, options?: { mode?: 'merge' | 'replace'; salvage?: boolean; onProgress?: Progress }): Promise<any>;
  importFile(file: Blob, options?: { name?: string; onProgress?: Progress }): Promise<any>;
  stats(): Promise<any>;
  versions(): Promise<any>;
  onState(listener: (state: State) => void): () => void;
  forget(): Promise<void>;
  close(): void;
}

export interface OpenOptions {
  /** `module:attribute` of the application's schema; the assistant's if not given. */
  schema?: string;
  onProgress?: Progress;
  onState?: (state: State) => void;
  /** One Python for all tabs (`shared`, where the browser can), or one for this tab. */
  worker?: 'shared' | 'dedicated';
  /** How long a worker may be silent before it is given up. */
  hangMs?: number;
}

export function openStore(log: string, options?: OpenOptions): Promise<Store>;
/** Start the worker now, for a store that will be opened soon. */
export function prepare(options?: { worker?: 'shared' | 'dedicated' }): void;
export function listLogs(): Promise<{ log: string; name: string; events: number }[]>;
export function forgetLog(log: string, options?: { worker?: 'shared' | 'dedicated' }): Promise<void>;
