/**
 * Is a PostgreSQL of an earlier Landlord still running on our data? After `kill -9` of Landlord its server lives
 * on. It is stopped, and a new one started, which takes no longer than to adopt it and leaves no question open. A
 * process that is not the server of exactly this data directory is never touched.
 */
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import { sleep, type Clock } from '../clock.ts';
import { servesDataDir, startOfProcess } from './process-identity.ts';

const FAST_STOP_MS = 15_000;
const IMMEDIATE_STOP_MS = 10_000;
const LOOK_INTERVAL_MS = 20;

/** Afterwards no server runs on `dataDir` (a real path). Throws when one cannot be stopped. */
export async function stopStaleServer(options: {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<void> {
  const { dataDir, log } = options;
  const pidFile = path.join(dataDir, 'postmaster.pid');
  const text = await readFile(pidFile, 'utf8').catch(() => undefined);
  const pid = Number(text?.split('\n')[0]);
  if (text === undefined) return;
  const start = Number.isSafeInteger(pid) && pid > 1 ? await startOfProcess(pid) : undefined;
  if (start === undefined || !(await servesDataDir(pid, dataDir))) {
    // Nobody's, or the number was given to another process: PostgreSQL would refuse to start beside that one.
    await rm(pidFile, { force: true });
    return;
  }
  log.warn({ pid, dataDir }, 'stops the PostgreSQL that an earlier Landlord left running');
  for (const [signal, patienceMs] of [
    ['SIGINT', FAST_STOP_MS],
    ['SIGQUIT', IMMEDIATE_STOP_MS],
  ] as const) {
    // Looked at again right before the signal: in between the number may have been given away.
    if ((await startOfProcess(pid)) !== start) return;
    process.kill(pid, signal);
    if (await isGone({ pid, start, clock: options.clock, patienceMs })) return;
  }
  throw new Error(
    `an earlier PostgreSQL (process ${pid}) still runs on ${dataDir} and cannot be stopped: end it by hand`,
  );
}

async function isGone(options: {
  pid: number;
  start: string;
  clock: Clock;
  patienceMs: number;
}): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < options.patienceMs; waitedMs += LOOK_INTERVAL_MS) {
    if ((await startOfProcess(options.pid)) !== options.start) return true;
    await sleep(options.clock, LOOK_INTERVAL_MS);
  }
  return false;
}
