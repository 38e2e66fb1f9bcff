/** How does a test run a part of Landlord as a process of its own, to kill it or to run it as somebody else? */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
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
  const child = spawn(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), fileURLToPath(file), ...options.args],
    {
      ...options.user,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
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
    },
  };
}
