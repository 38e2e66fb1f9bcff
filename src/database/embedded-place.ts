/**
 * Where does the embedded PostgreSQL keep its data, and with which password is it opened? Both are written down
 * in one private file of the state folder. The data lies beside it, or, when the server's user cannot get there,
 * in a folder named after the state folder's path; the choice is remembered, so that it never changes by itself.
 */
import { randomBytes, randomUUID, createHash } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { passes, type ServerUser } from './server-user.ts';

const recordSchema = z.object({
  /** Repeated beside the data: data of another id belongs to a state folder that was removed. */
  id: z.uuid(),
  password: z.string().min(32),
  port: z.int().min(1).max(65_535).optional(),
  /** Folder that holds the data, relative to the state folder when it is inside. */
  place: z.string().optional(),
});

export type EmbeddedRecord = z.infer<typeof recordSchema>;

const RECORD = 'postgres.json';
const INSIDE = 'postgres';

/** Reads the state folder's record, or makes one with a fresh password. */
export async function readRecord(stateDir: string): Promise<EmbeddedRecord> {
  const file = path.join(stateDir, RECORD);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) {
    const record = { id: randomUUID(), password: randomBytes(24).toString('base64url') };
    await writeRecord(stateDir, record);
    return record;
  }
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    // Without its content: it holds the password.
    throw new Error(`${file} is damaged: restore it, or remove it to start with an empty database`);
  }
}

/** Replaces the record at once; only its owner may read it. */
export async function writeRecord(stateDir: string, record: EmbeddedRecord): Promise<void> {
  const file = path.join(stateDir, RECORD);
  await writeFile(`${file}.new`, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

/** The folder that was chosen at an earlier start, if there was one. */
export function recordedPlace(stateDir: string, record: EmbeddedRecord): string | undefined {
  return record.place === undefined ? undefined : path.resolve(stateDir, record.place);
}

/**
 * A folder that `user` can write and that holds this state folder's data or none: the recorded one, else one
 * inside the state folder, else one below the first of `sharedDirs` that will do. Throws when none will.
 */
export async function choosePlace(options: {
  readonly stateDir: string;
  readonly record: EmbeddedRecord;
  readonly user: ServerUser | undefined;
  readonly sharedDirs: readonly string[];
  readonly log: Logger;
}): Promise<string> {
  const { stateDir, record, user, log } = options;
  const recorded = recordedPlace(stateDir, record);
  if (recorded !== undefined) {
    if (await prepare(recorded, user)) return recorded;
    throw new Error(
      `the server's user can no longer reach its data in ${recorded}: open the folders above it to that user`,
    );
  }
  const inside = path.join(stateDir, INSIDE);
  const name = createHash('sha256').update(stateDir).digest('hex').slice(0, 16);
  const outside = options.sharedDirs.map((dir) => path.join(dir, `data-${name}`));
  for (const place of [inside, ...outside]) {
    if (!(await prepare(place, user))) continue;
    await claim({ place, stateDir, id: record.id, log });
    if (place !== inside)
      log.warn(
        { stateDir, place },
        'the user of the embedded PostgreSQL cannot reach the state folder, so its data lies elsewhere',
      );
    await writeRecord(stateDir, { ...record, place: place === inside ? INSIDE : place });
    return place;
  }
  throw new Error(
    `the server's user can reach neither ${[inside, ...outside].join(' nor ')}: set LANDLORD_STATE_DIR to a folder that it can`,
  );
}

/** Makes the folder for `user` alone. False (and nothing left behind) when that user cannot use it. */
async function prepare(place: string, user: ServerUser | undefined): Promise<boolean> {
  try {
    const parent = path.dirname(place);
    await mkdir(parent, { recursive: true, mode: 0o755 });
    const made = await mkdir(place, { mode: 0o700, recursive: true });
    if (user !== undefined) await chown(place, user.uid, user.gid);
    if (
      await passes(user, [
        ['-w', place],
        ['-x', place],
      ])
    )
      return true;
    if (made !== undefined) await rmdir(place);
    return false;
  } catch {
    return false; // A read-only or full disk, or a parent that is not a folder: the next candidate may do.
  }
}

/**
 * Writes down whose the place is, for us and for people. Data that another record has made there is kept (the newest
 * such only), never opened: its password is gone.
 */
async function claim(options: { place: string; stateDir: string; id: string; log: Logger }): Promise<void> {
  const { place, stateDir, id, log } = options;
  const mark = path.join(place, 'owner');
  const found = (await readFile(mark, 'utf8').catch(() => '')).split('\n')[0];
  const data = path.join(place, 'data');
  const exists = (await stat(data).catch(() => undefined)) !== undefined;
  if (found !== id && exists) {
    const aside = path.join(place, 'data.old');
    await rm(aside, { recursive: true, force: true });
    await rename(data, aside);
    log.warn(
      { data: aside },
      'set aside the data of a state folder that no longer exists; starting with an empty database',
    );
  }
  await writeFile(mark, `${id}\n${stateDir}\n`);
}
