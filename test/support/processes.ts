/**
 * The built daemon and the simulator as processes of their own, for end-to-end tests and benchmarks. Each is
 * started on a free port, waited for by asking it, and can be killed like a process that crashed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { eventually } from './eventually.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Enough of a process's output to tell why it failed. */
const KEPT_OUTPUT = 64 * 1024;

/** What the daemon logs when it answers a request with a 5xx that is its own fault. */
export const DEFECT = 'request met a defect';

export interface RunningProcess {
  readonly pid: number;
  /** What it has printed lately, both streams together. */
  output(): string;
  /** Ends it the polite way and waits; returns the exit code. */
  stop(): Promise<number | null>;
  /** Ends it as a crash would, at once. */
  kill(): Promise<void>;
  /** Makes it stand still, in the middle of whatever it does, until `resume`. */
  pause(): void;
  resume(): void;
}

export interface Simulator extends RunningProcess {
  readonly url: string;
}

const credentialsSchema = z.object({
  api_url: z.string(),
  operator_token: z.string(),
  customer_token: z.string(),
});

export interface Daemon extends RunningProcess {
  readonly url: string;
  readonly credentials: z.infer<typeof credentialsSchema>;
}

/** A port that was free a moment ago, below the range from which the system takes ports for outgoing connections. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('cannot find a free port');
  return address.port;
}

/** `npm run simulator`, by its built file. */
export async function startSimulator(
  options: { readonly port?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Simulator> {
  const port = options.port ?? (await freePort());
  const running = run('dist/simulator/main.js', { env: { SIMULATOR_PORT: String(port), ...options.env } });
  const url = `http://127.0.0.1:${port}`;
  await eventually(() => answers(`${url}/_simulator/world`), {
    what: 'the simulator to answer',
    during: running,
  });
  return { ...running, url };
}

/** `npm start`, by its built file. Returns once /readyz is green; `stop` rejects when it has met a defect of its own. */
export async function startDaemon(options: {
  readonly stateDir: string;
  readonly simulatorUrl?: string;
  readonly port?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Hears everything that the daemon prints. */
  readonly onOutput?: (text: string) => void;
}): Promise<Daemon> {
  const port = options.port ?? (await freePort());
  const { onOutput } = options;
  const fly =
    options.simulatorUrl === undefined
      ? {}
      : { FLY_API_HOSTNAME: options.simulatorUrl, FLY_API_TOKEN: 'any' };
  const running = run('dist/main.js', {
    env: {
      LANDLORD_STATE_DIR: options.stateDir,
      PORT: String(port),
      LANDLORD_KUBECTL_PORT: '0',
      ...fly,
      ...options.env,
    },
    ...(onOutput !== undefined && { onOutput }),
  });
  const url = `http://127.0.0.1:${port}`;
  await ready(running, url);
  const text = await readFile(join(options.stateDir, 'credentials.json'), 'utf8');
  return {
    ...running,
    stop: soundStop(running),
    url,
    credentials: credentialsSchema.parse(JSON.parse(text)),
  };
}

/** The same as an operator runs it in production: nothing is made up, everything is in `env`. */
export async function startProduction(options: {
  readonly port: number;
  readonly env: NodeJS.ProcessEnv;
  /** Hears everything that the daemon prints. */
  readonly onOutput?: (text: string) => void;
}): Promise<RunningProcess & { readonly url: string }> {
  const { port, env, onOutput } = options;
  const running = run('dist/main.js', {
    env: { NODE_ENV: 'production', PORT: String(port), ...env },
    ...(onOutput !== undefined && { onOutput }),
  });
  const url = `http://127.0.0.1:${port}`;
  await ready(running, url);
  return { ...running, stop: soundStop(running), url };
}

/** Ends the daemon, and rejects when it has met a defect of its own. */
function soundStop(running: RunningProcess): RunningProcess['stop'] {
  return async () => {
    const code = await running.stop();
    const defect = running
      .output()
      .split('\n')
      .find((line) => line.includes(DEFECT));
    if (defect !== undefined) throw new Error(`the daemon met a defect of its own: ${defect}`);
    return code;
  };
}

async function ready(daemon: RunningProcess, url: string): Promise<void> {
  await eventually(() => answers(`${url}/readyz`), {
    what: 'the daemon to be ready',
    during: daemon,
    timeoutMs: 60_000,
  });
}

/** Runs a file of the project with Node and an environment of its own, without waiting for anything. */
export function run(
  file: string,
  options: { readonly env: NodeJS.ProcessEnv; readonly onOutput?: (text: string) => void },
): RunningProcess & { readonly exited: () => number | null | undefined } {
  const { PATH, HOME, TMPDIR } = process.env;
  const child = spawn(process.execPath, [join(ROOT, file)], {
    cwd: ROOT,
    env: { PATH, HOME, TMPDIR, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: string): void => {
    output = (output + chunk).slice(-KEPT_OUTPUT);
    options.onOutput?.(chunk);
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8');
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let code: number | null | undefined;
  const ended = once(child, 'close').then(([value]: unknown[]) => {
    code = typeof value === 'number' ? value : null;
  });
  return {
    pid: child.pid ?? -1,
    output: () => output,
    exited: () => code,
    stop: async () => {
      // One that stands still would never hear of it.
      signal(child, 'SIGCONT');
      signal(child, 'SIGTERM');
      await ended;
      return code ?? null;
    },
    kill: async () => {
      signal(child, 'SIGKILL');
      await ended;
    },
    pause: () => signal(child, 'SIGSTOP'),
    resume: () => signal(child, 'SIGCONT'),
  };
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.exitCode === null && child.signalCode === null) child.kill(name);
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
