/**
 * Where do real servers come from that npm does not have? From a cache outside the checkout, so that every clone shares
 * it; else, where Go is installed, they are built from their modules into that cache, which takes minutes and happens
 * once for each version: a go.mod and go.sum pin it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Two minutes on a fast machine, ten on a slow one, and the modules are to be fetched. */
const BUILD_TIMEOUT_MS = 45 * 60_000;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface GoPrograms<Name extends string> {
  /** Paths of the programs if they are there, without building anything. */
  find(): Promise<Readonly<Record<Name, string>> | undefined>;
  /** The same, built if need be. Throws an Error that says what to do when they cannot be had. */
  provide(say: (line: string) => void): Promise<Readonly<Record<Name, string>>>;
}

export interface GoProgramsOptions<Name extends string> {
  /** Folder with the go.mod and go.sum that pin them. */
  readonly moduleDir: string;
  /** Name of the cache's folder. */
  readonly cache: string;
  /** Package by the name of its program. */
  readonly packages: Readonly<Record<Name, string>>;
  /** For Go's linker, besides leaving out what a debugger wants. */
  readonly linkerFlags?: () => Promise<string>;
  /** Environment variable that names a folder with programs which are to be used instead. */
  readonly variable?: string;
  /** What to tell a person whose machine has none. */
  readonly missing: string;
}

export function createGoPrograms<Name extends string>(options: GoProgramsOptions<Name>): GoPrograms<Name> {
  const { moduleDir, packages, missing } = options;
  const names = Object.keys(packages) as Name[];
  const what = names.join(' and ');
  const given = options.variable === undefined ? undefined : process.env[options.variable] || undefined;

  async function find(): Promise<Readonly<Record<Name, string>> | undefined> {
    const folder = given ?? (await cacheFolder());
    const paths = names.map((name) => join(folder, name));
    const there = await Promise.all(paths.map(isProgram));
    if (!there.every(Boolean)) return undefined;
    return Object.fromEntries(names.map((name, index) => [name, paths[index]])) as Record<Name, string>;
  }

  /** Builds beside the cache and moves the whole folder in, so that half of a build is never taken for one. */
  async function build(folder: string): Promise<void> {
    const parent = join(folder, '..');
    await mkdir(parent, { recursive: true });
    const scratch = await mkdtemp(join(parent, 'build-'));
    try {
      const flags = ['-s', '-w', (await options.linkerFlags?.()) ?? ''].join(' ').trim();
      for (const name of names) {
        const output = join(scratch, name);
        await go(['build', '-trimpath', '-ldflags', flags, '-o', output, packages[name]], moduleDir);
      }
      await rename(scratch, folder);
    } catch (error) {
      // Somebody else may have been faster: then theirs is as good as ours.
      if ((await find()) === undefined) throw error;
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  /** Named after what pins the versions: another version is another folder, and old ones are left to the cache's owner. */
  async function cacheFolder(): Promise<string> {
    const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
    const hash = createHash('sha256');
    for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(moduleDir, file)));
    return join(base, options.cache, hash.digest('hex').slice(0, 16));
  }

  return {
    find,
    async provide(say) {
      const found = await find();
      if (found !== undefined) return found;
      if (given !== undefined)
        throw new Error(`cannot find ${what}: ${options.variable} names a folder without them`);
      if (!(await hasGo(moduleDir))) throw new Error(missing);
      say(`building ${what} with Go: this takes minutes, once for each version`);
      await build(await cacheFolder());
      const built = await find();
      if (built === undefined) throw new Error(`cannot build ${what}: Go left no programs behind`);
      return built;
    },
  };
}

function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function hasGo(folder: string): Promise<boolean> {
  return go(['version'], folder).then(
    () => true,
    () => false,
  );
}

async function go(args: readonly string[], folder: string): Promise<void> {
  await promisify(execFile)('go', args, {
    cwd: folder,
    timeout: BUILD_TIMEOUT_MS,
    maxBuffer: MOST_OUTPUT_BYTES,
    // The checkout's own state must not get into the programs.
    env: { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', CGO_ENABLED: '0' },
  });
}
