/**
 * Where do etcd and kube-apiserver come from? From KUBEBUILDER_ASSETS; else from a cache outside the checkout, so
 * that every clone shares it; else, where Go is installed, they are built from their modules into that cache, which
 * takes minutes and happens once for each version (go.mod and go.sum beside this file pin it).
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const HERE = import.meta.dirname;
/** Two minutes on a fast machine, ten on a slow one, and the modules are to be fetched. */
const BUILD_TIMEOUT_MS = 45 * 60_000;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

const PROGRAMS = [
  { name: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  { name: 'kube-apiserver', package: 'k8s.io/kubernetes/cmd/kube-apiserver' },
] as const;

/** What to tell a person whose machine has none. */
export const MISSING_ASSETS =
  'cannot start a Kubernetes API server: set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver, or install Go and run `npm test`, which builds them';

export interface Assets {
  readonly etcd: string;
  readonly kubeApiserver: string;
}

/** The two programs if they are there, without building anything. */
export async function findAssets(): Promise<Assets | undefined> {
  const given = process.env['KUBEBUILDER_ASSETS'];
  const folder = given !== undefined && given !== '' ? given : await cacheFolder();
  const [etcd, kubeApiserver] = [join(folder, 'etcd'), join(folder, 'kube-apiserver')];
  const there = await Promise.all([isProgram(etcd), isProgram(kubeApiserver)]);
  return there.every(Boolean) ? { etcd, kubeApiserver } : undefined;
}

/** The two programs, built if need be. Throws an Error that says what to do when they cannot be had. */
export async function provideAssets(say: (line: string) => void): Promise<Assets> {
  const found = await findAssets();
  if (found !== undefined) return found;
  const given = process.env['KUBEBUILDER_ASSETS'];
  if (given !== undefined && given !== '')
    throw new Error(
      'cannot start a Kubernetes API server: KUBEBUILDER_ASSETS holds no etcd and kube-apiserver',
    );
  if (!(await hasGo())) throw new Error(MISSING_ASSETS);
  say('building etcd and kube-apiserver with Go: this takes minutes, once for each version');
  await build(await cacheFolder());
  const built = await findAssets();
  if (built === undefined)
    throw new Error('cannot build etcd and kube-apiserver: Go left no programs behind');
  return built;
}

/** Builds beside the cache and moves the whole folder in, so that half of a build is never taken for one. */
async function build(folder: string): Promise<void> {
  const parent = join(folder, '..');
  await mkdir(parent, { recursive: true });
  const scratch = await mkdtemp(join(parent, 'build-'));
  try {
    const version = await kubernetesVersion();
    for (const { name, package: source } of PROGRAMS) {
      const flags = `-s -w -X k8s.io/component-base/version.gitVersion=${version}`;
      await go(['build', '-trimpath', '-ldflags', flags, '-o', join(scratch, name), source]);
    }
    await rename(scratch, folder);
  } catch (error) {
    // Somebody else may have been faster: then theirs is as good as ours.
    if ((await findAssets()) === undefined) throw error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Named after what pins the versions: another version is another folder, and old ones are left to the cache's owner. */
async function cacheFolder(): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(HERE, file)));
  return join(base, 'landlord-test-cluster', hash.digest('hex').slice(0, 16));
}

/** As go.mod names it; the server reports it to kubectl. */
async function kubernetesVersion(): Promise<string> {
  const text = await readFile(join(HERE, 'go.mod'), 'utf8');
  return /^\s*k8s\.io\/kubernetes (v\S+)/m.exec(text)?.[1] ?? 'v0.0.0';
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function hasGo(): Promise<boolean> {
  return go(['version']).then(
    () => true,
    () => false,
  );
}

async function go(args: readonly string[]): Promise<void> {
  await promisify(execFile)('go', args, {
    cwd: HERE,
    timeout: BUILD_TIMEOUT_MS,
    maxBuffer: MOST_OUTPUT_BYTES,
    // The checkout's own state must not get into the programs.
    env: { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', CGO_ENABLED: '0' },
  });
}
