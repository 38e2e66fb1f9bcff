/**
 * How does a server of the test cluster run? As a child whose output is kept for the error that tells why it did not
 * start, and which ends with the test run even if that is killed: a shell stands between, and ends it when its
 * standard input closes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Enough of a server's output to tell why it failed. */
const KEPT_OUTPUT = 64 * 1024;
/** How long a server may take to end when it is told to. */
const STOP_TIMEOUT_MS = 20_000;

/** Passes the polite signal on when its own input ends, and answers with what the server answered with. */
const GUARD = '"$@" </dev/null & child=$!; (cat >/dev/null; kill $child 2>/dev/null) <&3 & wait $child';

export interface ServerProcess {
  /** What it has printed lately. */
  output(): string;
  /** Whether it has ended by itself or otherwise. */
  ended(): boolean;
  /** Ends it the polite way, the hard way when that does not help, and waits. */
  stop(): Promise<void>;
}

/** Starts a program; whether it serves is for the caller to find out. */
export function startServer(program: string, args: readonly string[]): ServerProcess {
  const child = spawn('/bin/sh', ['-c', `exec 3<&0; ${GUARD}`, 'sh', program, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A group of its own, so that the hard way reaches the server and not only the shell.
    detached: true,
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-KEPT_OUTPUT);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  // Closing the input of a server that has ended already is no error of ours.
  child.stdin.on('error', () => undefined);
  let ended = false;
  const closed = once(child, 'close').then(() => {
    ended = true;
  });
  return {
    output: () => output,
    ended: () => ended,
    async stop() {
      child.stdin.end();
      const timer = setTimeout(() => {
        if (!ended && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      }, STOP_TIMEOUT_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}
