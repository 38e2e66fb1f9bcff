/**
 * How is one PostgreSQL server process made, started and stopped? initdb makes a data directory that appears
 * whole or not at all; a start ends with "ready" or with an error that holds the server's last words; a stop
 * closes connections and writes everything down.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Binaries } from './embedded-binaries.ts';
import type { ServerUser } from './server-user.ts';
import { within } from './within.ts';

export const SUPERUSER = 'landlord';

export interface ServerOptions {
  readonly binaries: Binaries;
  readonly user: ServerUser | undefined;
  readonly dataDir: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface RunningServer {
  /** Resolves with the server's last words when its process is gone, for whatever reason. */
  readonly exited: Promise<string>;
  /** Safe to call twice; resolves when the process is gone. */
  stop(): Promise<void>;
}

/** The server ended before it was ready. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly lastWords: string;

  constructor(message: string, lastWords: string) {
    super(`${message}: ${lastWords === '' ? 'it said nothing' : lastWords}`);
    this.lastWords = lastWords;
  }
}

const LAST_LINES = 12;
/** Recovery after a crash replays the write-ahead log, which `max_wal_size` bounds to seconds. */
const READY_TIMEOUT_MS = 120_000;
const INIT_TIMEOUT_MS = 120_000;
/** Fast shutdown ends connections and writes a checkpoint. */
const FAST_STOP_MS = 15_000;
/** Immediate shutdown only ends; the next start recovers. */
const IMMEDIATE_STOP_MS = 5_000;
/** Nothing of Landlord's environment reaches the server, and its words are those that we look for. */
const ENVIRONMENT = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' };

/** Throws when the data was written by another major version, which this one cannot read. */
export async function checkMajor(dataDir: string, major: string): Promise<'absent' | 'present'> {
  const found = await readFile(path.join(dataDir, 'PG_VERSION'), 'utf8').catch((error: unknown) => {
    // Any other failure must not be taken for "there is no data".
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return 'absent';
  if (found.trim() === major) return 'present';
  throw new Error(
    `the data in ${dataDir} was written by PostgreSQL ${found.trim()}, and this Landlord brings ${major}: ` +
      `move it with pg_dump of version ${found.trim()}, or move the folder away to start empty`,
  );
}

/** Makes an empty data directory. A crash in the middle leaves only a draft, which the next attempt replaces. */
export async function initialise(
  options: ServerOptions & { password: string; durable: boolean },
): Promise<void> {
  const { dataDir, user } = options;
  const draft = `${dataDir}.new`;
  const passwordFile = `${dataDir}.password`;
  await rm(draft, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (user !== undefined) await chown(passwordFile, user.uid, user.gid);
    const flags = [
      '-D',
      draft,
      '-U',
      SUPERUSER,
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
    ];
    flags.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions');
    if (!options.durable) flags.push('--no-sync');
    const child = run(options, 'initdb', flags);
    const code = await exitWithin(child, options, INIT_TIMEOUT_MS);
    if (code !== 0) throw new StartError('initdb failed', child.lastWords());
    await rename(draft, dataDir);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** Starts the server on a port of the loopback interface. Throws StartError, or the signal's reason. */
export async function start(
  options: ServerOptions & { port: number; settings: Record<string, string> },
): Promise<RunningServer> {
  const settings = { ...options.settings, port: String(options.port) };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = run(options, 'postgres', ['-D', options.dataDir, ...flags]);
  const stop = async () => {
    for (const [signal, patienceMs] of [
      ['SIGINT', FAST_STOP_MS],
      ['SIGQUIT', IMMEDIATE_STOP_MS],
      ['SIGKILL', IMMEDIATE_STOP_MS],
    ] as const) {
      server.child.kill(signal);
      const outcome = await within(server.exited, { clock: options.clock, limitMs: patienceMs });
      if (outcome !== 'late') return;
    }
  };
  const outcome = await within(
    Promise.race([
      server.sees(/database system is ready to accept connections/).then(() => 'ready' as const),
      server.exited.then(() => 'ended' as const),
    ]),
    { clock: options.clock, limitMs: READY_TIMEOUT_MS, signal: options.signal },
  );
  if (outcome === 'ready') return { exited: server.exited.then(() => server.lastWords()), stop };
  await stop();
  options.signal.throwIfAborted();
  const message = outcome === 'ended' ? 'the server ended at once' : 'the server was not ready in time';
  throw new StartError(message, server.lastWords());
}

interface Run {
  readonly child: ChildProcess;
  /** Resolves with the exit code; undefined when it was ended by a signal or could not be started. */
  readonly exited: Promise<number | undefined>;
  lastWords(): string;
  sees(pattern: RegExp): Promise<void>;
}

/** Runs a program as the server's user, apart from our terminal: Ctrl-C there must reach Landlord first. */
function run(options: ServerOptions, program: string, flags: readonly string[]): Run {
  const lines: string[] = [];
  const watchers: { pattern: RegExp; found: () => void }[] = [];
  const child = spawn(path.join(options.binaries.dir, 'bin', program), flags, {
    ...(options.user ?? {}),
    cwd: '/',
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const take = (text: string) => {
    // Without the time and the level, so that the same cause gives the same words.
    const line = text
      .replace(/^\d{4}-\S+ \S+ \S+ \[\d+\] /, '')
      .replace(/^(LOG|FATAL|PANIC): +/, '')
      .trim();
    if (line === '') return;
    options.log.debug({ program }, line);
    lines.push(line);
    if (lines.length > LAST_LINES) lines.shift();
    for (const watcher of watchers) if (watcher.pattern.test(line)) watcher.found();
  };
  const read = [child.stdout, child.stderr].map((input) =>
    once(createInterface({ input }).on('line', take), 'close'),
  );
  const ended = new Promise<number | undefined>((resolve) => {
    child.once('error', (error) => {
      take(error.message);
      resolve(undefined);
    });
    child.once('close', (code) => resolve(code ?? undefined));
  });
  // Only then has everything been read that it said.
  const exited = Promise.all([ended, ...read]).then(([code]) => code);
  return {
    child,
    exited,
    lastWords: () => lines.join(' | '),
    sees: (pattern) => new Promise((resolve) => watchers.push({ pattern, found: resolve })),
  };
}

/** The exit code; undefined when it took too long and was ended. Throws the signal's reason when that aborts. */
async function exitWithin(
  program: Run,
  options: ServerOptions,
  limitMs: number,
): Promise<number | undefined> {
  const outcome = await within(program.exited, { clock: options.clock, limitMs, signal: options.signal });
  if (outcome !== 'late') return outcome;
  program.child.kill('SIGKILL');
  await program.exited;
  options.signal.throwIfAborted();
  return undefined;
}
