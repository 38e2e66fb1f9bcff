/**
 * How does the simulated Fly outlive the process that runs it? Every changed record is appended to a file as one
 * line of JSON before the change is answered, so that a `kill -9` loses nothing that anybody was told of; only a
 * crash of the whole machine may. Reading takes the last line of each record; the file is rewritten when it has
 * grown to several times its content. It holds secrets' values and is readable by its owner alone.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { emptyState, type WorldState } from './state.ts';

/** Parts of the state that are kept by record. Logs, rate limits and faults begin anew. */
const tables = ['apps', 'manifests', 'tags', 'regions', 'hosts'] as const;

type Table = (typeof tables)[number];

export interface StateFile {
  /** What the file held; undefined when there was none. */
  readonly loaded: WorldState | undefined;
  /** Notes that a record has changed. */
  recordChanged(table: Table, key: string): void;
  /** Appends what has changed since the last time. */
  append(state: WorldState): void;
  /** Rewrites the file to its content alone, and closes it. */
  close(state: WorldState): void;
}

/** Small worlds are not worth rewriting. */
const SMALLEST_REWRITE_BYTES = 4 * 1024 * 1024;
const GROWTH = 4;

function metaLine({ format, now, random, sequence, nextAutostopAt }: WorldState): string {
  return `${JSON.stringify(['world', { format, now, random, sequence, nextAutostopAt }])}\n`;
}

function recordLine(state: WorldState, table: Table, key: string): string {
  const records = state[table];
  return `${JSON.stringify([table, key, Object.hasOwn(records, key) ? records[key] : null])}\n`;
}

function wholeText(state: WorldState): string {
  const records = tables.flatMap((table) =>
    Object.keys(state[table]).map((key) => recordLine(state, table, key)),
  );
  return metaLine(state) + records.join('');
}

function isTable(name: unknown): name is Table {
  return tables.some((table) => table === name);
}

function applyLine(state: WorldState, line: string): void {
  const [table, key, record] = JSON.parse(line) as [string, string | { format: unknown }, unknown];
  if (typeof key === 'object') {
    if (key.format !== state.format) throw new Error('it has another format');
    Object.assign(state, key);
  } else if (isTable(table)) {
    const records = state[table] as Record<string, unknown>;
    if (record === null) Reflect.deleteProperty(records, key);
    else records[key] = record;
  }
}

/** The world in the file. A last line that was cut off by a crash was never answered for, and is left out. */
function load(path: string): WorldState | undefined {
  if (!existsSync(path)) return undefined;
  const state = emptyState(0);
  const lines = readFileSync(path, 'utf8').split('\n');
  for (const [index, line] of lines.slice(0, -1).entries()) {
    try {
      applyLine(state, line);
    } catch (cause) {
      throw new Error(`cannot read simulator state "${path}": line ${index + 1} is damaged`, { cause });
    }
  }
  return state;
}

/** Writes the whole content beside the file and puts it in its place. Answers the file, open for appending. */
function rewrite(path: string, text: string): number {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  writeFileSync(file, text);
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, path);
  return openSync(path, 'a', 0o600);
}

/** Opens (and makes) the file. Throws when it is there but cannot be read. */
export function openStateFile(path: string): StateFile {
  mkdirSync(dirname(path), { recursive: true });
  const loaded = load(path);
  const initial = loaded === undefined ? '' : wholeText(loaded);
  let file = rewrite(path, initial);
  let bytes = initial.length;
  let rewriteAt = Math.max(SMALLEST_REWRITE_BYTES, GROWTH * bytes);
  const changes = new Map<string, { table: Table; key: string }>();

  function compact(state: WorldState): void {
    closeSync(file);
    const text = wholeText(state);
    file = rewrite(path, text);
    bytes = text.length;
    rewriteAt = Math.max(SMALLEST_REWRITE_BYTES, GROWTH * bytes);
  }

  return {
    loaded,
    recordChanged(table, key) {
      changes.set(`${table} ${key}`, { table, key });
    },
    append(state) {
      if (changes.size === 0) return;
      const lines = [...changes.values()].map(({ table, key }) => recordLine(state, table, key));
      changes.clear();
      const text = metaLine(state) + lines.join('');
      writeFileSync(file, text);
      bytes += text.length;
      if (bytes > rewriteAt) compact(state);
    },
    close(state) {
      compact(state);
      closeSync(file);
    },
  };
}
