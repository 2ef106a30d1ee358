/** The JavaScript client of pystore. Every rejection is a `PyStoreError`, arguments of a wrong type included (`ValidationError`). */

export class PyStoreError extends Error {
  constructor(code: string, message: string, details?: Record<string, any>);
  /** The name of the error's kind, e.g. `ValidationError`, `QuotaError`, `OutcomeUnknownError`. */
  readonly code: string;
  readonly details: Record<string, any>;
}

/** How a store is: one state, and a sentence for a person. */
export interface State {
  /** `behind`: saving works, but changes of other windows cannot be read. */
  state: 'booting' | 'ready' | 'saving' | 'saved' | 'behind' | 'read-only' | 'error' | 'restarting';
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
  /** Why changes of other windows cannot be read, or null. */
  behind: string | null;
  /** Another text whenever more is erased: what was remembered under another one may hold what is gone. */
  erased: string;
}

/** How long work tells how far it is, and is stopped: then it rejects with the code `CancelledError`, and says what is kept. */
export interface Long {
  onProgress?: Progress;
  signal?: AbortSignal;
}

/** A time (ISO 8601), the id or `order` of an event, or how many events ago. */
export type Moment = string | number;

/** An event of the log, as the timeline shows it. */
export interface LoggedEvent {
  id: string;
  /** Where it stands in the log. */
  order: string;
  hlc: string;
  time: string;
  type: string;
  v: number;
  data: any;
  erased: boolean;
  undone: boolean;
  /** The id of the change that undid it. */
  undone_by: string | null;
  /** Why it could not be applied. */
  conflict: string | null;
}

/** How many events of each type there were in each span of time. */
export interface Activity {
  since: string;
  until: string;
  bucket_ms: number;
  counts: Record<string, number[]>;
}

/** Everything as it was at a past moment. Close it when it is not needed any more. */
export interface Past {
  readonly info: { events: number; time: string | null; order: string | null };
  query<T = Row>(sql: string, parameters?: Parameters): Promise<T[]>;
  /** Let go. Repeated calls do nothing. */
  close(): void;
}

export interface BackupSettings {
  /** How often one of a layer is made by the clock, if something changed: `auto` every so many minutes, `hourly` hours, `daily` days, `weekly` weeks. */
  every: { auto?: number; hourly?: number; daily?: number; weekly?: number };
  /** How many of a layer are kept; 0: the layer is not made. */
  keep: Record<string, number>;
  /** After how many days without a file outside the browser people are reminded; 0: never. */
  remind_days: number;
}

/** One automatic or manual backup in the vault. */
export interface Backup {
  id: string;
  layer: string;
  label: string;
  time: string;
  /** Bytes of all its parts, and of those that no other backup shares. */
  size: number;
  own: number;
  sha256?: string;
  versions?: any;
  events: number | null;
  by_type?: Record<string, number>;
  records?: Record<string, number>;
  /** Why it cannot be used, or null. */
  damaged: string | null;
  /** What the last check found. */
  verified: { at: string; good: boolean; why: string | null } | null;
}

export interface BackupStats {
  /** What keeps them: `opfs`, `bucket`, `indexeddb`. */
  where: string;
  count: number;
  bytes: number;
  oldest: string | null;
  newest: string | null;
  /** `size`: bytes of all parts of a layer's backups, each counted once; `own`: of those that no other layer has. */
  layers: Record<string, { count: number; size: number; own: number; oldest: string | null; newest: string | null }>;
  keep: Record<string, number>;
  every: { auto: number; hourly: number; daily: number; weekly: number };
  remind_days: number;
  /** Whether what people chose cannot be read: the defaults count, and no backup goes until somebody chooses anew. */
  settings_lost: boolean;
  running: boolean;
  /** Why the clock's last round failed, or null. */
  error: string | null;
}

/** A folder into which backups are copied. `allowed`: whether the browser lets the page write to it without asking the person again. */
export interface Mirror {
  folder: string;
  copied: string | null;
  at: string | null;
  error: string | null;
  allowed: boolean;
}

export interface Backups {
  /** Newest first. */
  list(): Promise<Backup[]>;
  create(label?: string): Promise<Backup>;
  /** One, line by line; without an id all of them: `{ good, damaged }`. */
  verify(id?: string | null, options?: Long): Promise<any>;
  restore(id: string, mode?: 'merge' | 'replace', options?: { salvage?: boolean } & Long): Promise<any>;
  file(id: string, options?: { gzip?: boolean } & Long): Promise<Blob>;
  remove(id: string): Promise<null>;
  stats(): Promise<BackupStats>;
  configure(settings: Partial<BackupSettings>): Promise<BackupSettings>;
  start(): Promise<null>;
  stop(): Promise<null>;
  mirrorTo(directory: FileSystemDirectoryHandle | null): Promise<void>;
  mirror(): Promise<Mirror | null>;
}

/** What `verify` found: at an event, or (`table`, `key`) in a row of the view, which that event was the last to touch; null: none was. */
export interface Problem {
  id: string | null;
  why: string;
  kind?: string;
  table?: string;
  key?: Row;
}

export interface Store {
  readonly log: string;
  /** What was known of the log when it was opened. */
  readonly info: Info;
  readonly backups: Backups;
  query<T = Row>(sql: string, parameters?: Parameters): Promise<T[]>;
  watch<T = Row>(sql: string, parameters: Parameters, listener: (rows: T[]) => void, failed?: (error: Error) => void): () => void;
  /** Tells how many events the log holds, now and whenever some came, whoever appended them; until the returned function is called. */
  watchEvents(listener: (events: number) => void): () => void;
  /** Newest first. `before` and `after` are an `order` or an `hlc`, exclusive; `text` is found in the data's texts. */
  events(which?: { before?: string; after?: string; types?: string[]; text?: string; limit?: number }): Promise<LoggedEvent[]>;
  activity(which?: { buckets?: number; since?: string; until?: string }): Promise<Activity>;
  conflicts(): Promise<{ id: string; order: string; time: string; type: string; reason: string; data: any }[]>;
  waiting(): Promise<{ id: string; time: string; type: string; until: string }[]>;
  verify(options?: Long): Promise<{ sound: boolean; events: number; problems: Problem[] }>;
  append(events: { type: string; data: object } | { type: string; data: object }[], options?: { batch?: string; durability?: Durability }): Promise<Appended[]>;
  flush(): Promise<null>;
  rename(name: string): Promise<null>;
  /** `ids`: `replica:number` or `replica:first-last`; an import stands for all it brought in. */
  undo(ids: string | string[], options?: { batch?: string }): Promise<Appended[]>;
  redo(ids: string | string[], options?: { batch?: string }): Promise<Appended[]>;
  /** Remove the content of events for good, here and from every replica that merges; cannot be undone. */
  erase(ids: string | string[], options?: { batch?: string }): Promise<Appended[]>;
  /** Undo everything that came after a moment; `[]` if nothing did. */
  restoreTo(moment: Moment): Promise<Appended[]>;
  /** Everything as it was at a past moment; the store goes on meanwhile. */
  at(moment: Moment): Promise<Past>;
  save(options?: { gzip?: boolean; passphrase?: string | null } & Long): Promise<Blob>;
  inspect(file: Blob, options?: { passphrase?: string | null } & Long): Promise<any>;
  restore(file: Blob, options?: { mode?: 'merge' | 'replace'; salvage?: boolean; passphrase?: string | null } & Long): Promise<any>;
  importFile(file: Blob, options?: { name?: string } & Long): Promise<any>;
  stats(): Promise<any>;
  /** Done by itself when a log is opened; where that failed the log is read-only, and this tries again. `dryRun`: only look. */
  migrate(options?: { dryRun?: boolean } & Long): Promise<any>;
  /** Begin anew, empty, where data of an older version cannot be brought to this one; the id of the backup that was made before. */
  startOver(): Promise<string | null>;
  versions(): Promise<any>;
  onState(listener: (state: State) => void): () => void;
  forget(): Promise<void>;
  close(): void;
}

export interface OpenOptions {
  /** `module:attribute` of the application's schema; the site's own if not given. */
  schema?: string;
  onProgress?: Progress;
  onState?: (state: State) => void;
  /** Open what is left of a log that was lost, as `StoreLostError` and `TailLostError` tell: to restore a backup into it, or to go on. It stays lost until something is written. */
  recover?: boolean;
  /** Others' events that are dated further ahead of the clock wait until it has come so far. */
  maxFutureMs?: number;
  /** One Python for all tabs (`shared`, where the browser can), or one for this tab. */
  worker?: 'shared' | 'dedicated';
  /** How long a worker may be silent before it is given up. */
  hangMs?: number;
}

export function openStore(log: string, options?: OpenOptions): Promise<Store>;
/** Start the worker now, for a store that will be opened soon. */
export function prepare(options?: { worker?: 'shared' | 'dedicated' }): void;
/** `lost`: there was such a log, and it is gone; opening it tells what can be done. */
export function listLogs(): Promise<{ log: string; name: string; events: number; lost?: boolean }[]>;
/**
 * Make a damaged log whole again with what its backups have; `CorruptError` tells what is in none. One that this version of the application may
 * not write to is refused (`FormatError`, `NewerVersionError`, `ReadOnlyError`).
 */
export function repairLog(log: string, options?: { schema?: string; acceptLoss?: boolean; worker?: 'shared' | 'dedicated' }): Promise<{ events: number; repaired: number; lost: string[] }>;
/** All that can be read of a damaged log, as a file with a report of what is missing. */
export function saveDamaged(log: string, options?: { schema?: string; worker?: 'shared' | 'dedicated' }): Promise<Blob>;
export function forgetLog(log: string, options?: { worker?: 'shared' | 'dedicated' }): Promise<void>;
