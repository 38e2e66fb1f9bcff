/**
 * As whom does the embedded PostgreSQL run, and what can that user reach? PostgreSQL refuses to run as root. When
 * Landlord is root the server runs as another user, which often may not enter the folder where the clone or the
 * state lies (root's home, a `mktemp -d`): so before anything is put somewhere, the kernel is asked.
 */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CHECK_TIMEOUT_MS = 5_000;

/** Another user than the one that Landlord runs as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Undefined when Landlord is not root: then the server runs as the same user. Otherwise the owner of the data
 * that is already there, or `postgres`, or `nobody`; no user is ever made. Throws when there is none.
 */
export async function chooseServerUser(existingDataDir: string | undefined): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner =
    existingDataDir === undefined ? undefined : await stat(existingDataDir).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  for (const name of ['postgres', 'nobody']) {
    const user = await lookUp(name);
    if (user !== undefined) return user;
  }
  throw new Error('it may not run as root, and this system has neither a user "postgres" nor "nobody"');
}

/** Whether `user` (undefined: Landlord's own) passes every test, such as `['-w', '/some/folder']`. */
export async function passes(
  user: ServerUser | undefined,
  tests: readonly (readonly ['-r' | '-w' | '-x', string])[],
): Promise<boolean> {
  // Asked by a process of that user: only the kernel knows access lists, namespaces and read-only mounts.
  const checks = tests.map(async ([test, path]) => {
    await run('/bin/sh', ['-c', `test ${test} "$1"`, 'sh', path], {
      ...(user ?? {}),
      cwd: '/',
      env: {},
      timeout: CHECK_TIMEOUT_MS,
    });
  });
  const results = await Promise.allSettled(checks);
  return results.every((result) => result.status === 'fulfilled');
}

async function lookUp(name: string): Promise<ServerUser | undefined> {
  try {
    const ids = await Promise.all(
      ['-u', '-g'].map((flag) => run('/usr/bin/id', [flag, name], { timeout: CHECK_TIMEOUT_MS })),
    );
    const [uid, gid] = ids.map(({ stdout }) => Number(stdout));
    return uid === undefined || gid === undefined || uid === 0 ? undefined : { uid, gid };
  } catch {
    return undefined; // id fails exactly when there is no such user.
  }
}
