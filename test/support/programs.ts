/** How does a test run a part of Landlord as a process of its own, to kill it or to run it as somebody else? */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Program {
  readonly child: ChildProcess;
  /** The first line that it printed. */
  readonly firstLine: string;
  /** Sends a signal and resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Runs a TypeScript file and resolves with its first line; rejects with what it complained of when there is none. */
export async function runProgram(
  file: URL,
  options: { args: readonly string[]; user?: { uid: number; gid: number } },
): Promise<Program> {
  const loader = fileURLToPath(import.meta.resolve('tsx'));
  const copy = options.user === undefined ? undefined : copyUnlessReadable(loader, options.user);
  const within = copy ?? ROOT;
  const [tsx = '', program = ''] = [loader, fileURLToPath(file)].map((name) =>
    path.join(within, path.relative(ROOT, name)),
  );
  const child = spawn(process.execPath, ['--import', `file://${tsx}`, program, ...options.args], {
    ...options.user,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close');
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const firstLine = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('close', () => reject(new Error(`the program ended without a word: ${complaints}`)));
  });
  return {
    child,
    firstLine,
    async end(signal) {
      child.kill(signal);
      await exited;
      if (copy !== undefined) await rm(copy, { recursive: true });
    },
  };
}

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Where the clone lies below a folder that the user may not enter: a copy of it, which shares its files. */
function copyUnlessReadable(file: string, user: { uid: number; gid: number }): string | undefined {
  if (spawnSync('test', ['-r', file], { ...user, cwd: '/' }).status === 0) return undefined;
  const copy = mkdtempSync(path.join(tmpdir(), 'landlord-clone-'));
  chmodSync(copy, 0o755);
  const parts = ['package.json', 'tsconfig.json', 'migrations', 'src', 'test', 'node_modules'];
  const from = parts.map((part) => path.join(ROOT, part));
  // Hard links cost no space and little time; on another file system it has to be a real copy.
  if (spawnSync('cp', ['-al', ...from, copy]).status !== 0) execFileSync('cp', ['-a', ...from, copy]);
  return copy;
}
