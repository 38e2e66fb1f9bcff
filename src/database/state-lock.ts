/**
 * Is this the only Landlord on this state folder? A lock file says which process has it. Locks are numbered and
 * the highest counts: whoever finds it free makes the next number, and making a file can succeed only once. So a
 * lock whose holder was killed is taken over by exactly one of many who try, and no lock is ever removed that
 * somebody may just have taken.
 */
import { randomBytes } from 'node:crypto';
import {
  link,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  chmod,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { startOfProcess } from './process-identity.ts';

export interface StateLock {
  /** Lets the next Landlord in. A process that dies without it leaves a lock that is known to be stale. */
  release(): Promise<void>;
}

/** Another Landlord is at work on the state folder. */
export class StateLockedError extends Error {
  override readonly name = 'StateLockedError';
}

const holderSchema = z.object({ pid: z.int().positive(), start: z.string().min(1) });
type Holder = z.infer<typeof holderSchema>;

const LOCK_NAME = /^landlord\.lock\.(\d{1,15})$/;
/** Each round that fails does so because somebody else has got on. */
const MOST_ROUNDS = 100;

/**
 * Makes the folder if need be and locks it, before anything in it is read. Throws StateLockedError. Process ids
 * are only comparable on one machine: do not share the folder between machines or containers.
 */
export async function lockStateDir(stateDir: string): Promise<StateLock> {
  const dir = await makeStateDir(stateDir);
  const start = await startOfProcess(process.pid);
  if (start === undefined)
    throw new Error(`cannot lock the state folder "${dir}": this process cannot be identified`);
  const holder: Holder = { pid: process.pid, start };
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const newest = await newestNumber(dir);
    const current = newest === 0 ? undefined : await readHolder(lockFile(dir, newest));
    if (current !== undefined && (await startOfProcess(current.pid)) === current.start)
      throw new StateLockedError(
        `cannot lock the state folder "${dir}": another Landlord (process ${current.pid}) is using it; ` +
          'stop that one, or give this one a folder of its own with LANDLORD_STATE_DIR',
      );
    const number = newest + 1;
    if (!(await place(dir, lockFile(dir, number), holder, link))) continue;
    if ((await newestNumber(dir)) !== number) {
      // We had looked at an old list, and somebody has got further in the meantime: theirs counts.
      await rm(lockFile(dir, number), { force: true });
      continue;
    }
    await removeOlder(dir, number);
    return { release: () => release(dir, number) };
  }
  throw new StateLockedError(`cannot lock the state folder "${dir}": others keep taking it`);
}

/** The server's user must be able to pass through the folder to the database's files; it cannot list it. */
async function makeStateDir(stateDir: string): Promise<string> {
  const made = (await mkdir(stateDir, { recursive: true })) !== undefined;
  if (made) await chmod(stateDir, 0o711);
  if (!(await stat(stateDir)).isDirectory())
    throw new Error(`cannot lock the state folder "${stateDir}": it is a file`);
  return realpath(stateDir);
}

/** Keeps the number, so that numbers only ever grow, with a holder that no process is. */
async function release(dir: string, number: number): Promise<void> {
  await place(dir, lockFile(dir, number), 'released', rename);
}

/** The file appears with its whole content or not at all. False when it is there already (only with link). */
async function place(
  dir: string,
  file: string,
  content: Holder | 'released',
  put: (from: string, to: string) => Promise<void>,
): Promise<boolean> {
  const draft = path.join(dir, `landlord.lock.draft-${randomBytes(6).toString('hex')}`);
  await writeFile(draft, JSON.stringify(content), { mode: 0o644 });
  try {
    await put(draft, file);
    return true;
  } catch (error) {
    // ENOENT: whoever got the lock has cleared our draft away.
    if (error instanceof Error && 'code' in error && ['EEXIST', 'ENOENT'].includes(String(error.code)))
      return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function newestNumber(dir: string): Promise<number> {
  const numbers = (await readdir(dir)).map((name) => Number(LOCK_NAME.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

/** Undefined when the lock is released, or has gone in this moment; then the next round sees why. */
async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return undefined;
  }
}

async function removeOlder(dir: string, number: number): Promise<void> {
  const old = (await readdir(dir)).filter((name) => {
    const found = LOCK_NAME.exec(name)?.[1];
    return found === undefined ? name.startsWith('landlord.lock.draft-') : Number(found) < number;
  });
  await Promise.all(old.map((name) => rm(path.join(dir, name), { force: true })));
}

function lockFile(dir: string, number: number): string {
  return path.join(dir, `landlord.lock.${number}`);
}
