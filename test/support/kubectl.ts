/**
 * How does a test run the real kubectl? With a home of its own, so that neither a person's settings nor what kubectl
 * has cached of other servers play a part. Where there is no kubectl, suites say so by name, and fail on CI.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningKubectl {
  /** All that it has printed so far. */
  stdout(): string;
  /** Waits for its end. */
  readonly done: Promise<Outcome>;
  /** Ends it, as Ctrl-C does. */
  interrupt(): Promise<Outcome>;
}

export interface Kubectl {
  /** Runs to the end; whatever kubectl says, it never throws. */
  run(args: readonly string[], options?: { input?: string; env?: NodeJS.ProcessEnv }): Promise<Outcome>;
  /** Runs to the end and returns what it printed; throws when kubectl fails. */
  read(...args: string[]): Promise<string>;
  start(args: readonly string[], options?: { input?: string; env?: NodeJS.ProcessEnv }): RunningKubectl;
  /** Writes a file in its home and returns the path. */
  file(name: string, text: string): Promise<string>;
  remove(): Promise<void>;
}

/** kubectl waits for a server for ever; a test does not. */
const TIMEOUT_MS = 180_000;

export async function createKubectl(kubeconfig: string): Promise<Kubectl> {
  const home = await mkdtemp(join(tmpdir(), 'landlord-kubectl-'));
  const base = { PATH: process.env['PATH'], HOME: home, KUBECONFIG: kubeconfig, TZ: 'UTC' };

  const start: Kubectl['start'] = (args, { input, env } = {}) => {
    const child = spawn('kubectl', [`--cache-dir=${join(home, 'cache')}`, ...args], {
      cwd: home,
      env: { ...base, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString('utf8')));
    child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString('utf8')));
    child.stdin.end(input ?? '');
    const done = once(child, 'close').then(([code]: unknown[]): Outcome => ({
      code: typeof code === 'number' ? code : null,
      ...output,
    }));
    return {
      stdout: () => output.stdout,
      done,
      interrupt() {
        if (child.exitCode === null) child.kill('SIGINT');
        return done;
      },
    };
  };
  const run: Kubectl['run'] = (args, options) => start(args, options).done;
  return {
    start,
    run,
    async read(...args) {
      const { code, stdout, stderr } = await run(args);
      if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${String(code)}: ${stderr}`);
      return stdout;
    },
    async file(name, text) {
      const path = join(home, name);
      await writeFile(path, text, { mode: 0o700 });
      return path;
    },
    remove: () => rm(home, { recursive: true, force: true }),
  };
}

/** `describe` for suites that run kubectl. */
export function describeWithKubectl(name: string, suite: () => void): void {
  const missing = spawnSync('kubectl', ['version', '--client']).status !== 0;
  if (missing && process.env['CI'] === undefined)
    describe.skip(`${name} (NOT RUN: there is no kubectl on the PATH)`, suite);
  else describe(name, suite);
}
