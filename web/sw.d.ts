/** What the build puts before `sw.js`. */
declare const SITE: { version: string; entries: Record<string, string>; assets: string[]; snapshot: string };
