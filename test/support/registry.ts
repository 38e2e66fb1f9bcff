/**
 * A real OCI registry for tests: the reference implementation (CNCF distribution), which Debian packs as
 * `docker-registry`. Where it is not installed, the suites that need it say so by name, and fail on CI.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';
import { startServer } from '../cluster/server-process.ts';
import { eventually } from './eventually.ts';
import { freePort } from './processes.ts';

const PROGRAMS = ['docker-registry', 'registry'];
const MISSING =
  'cannot start a registry: install it (Debian: apt-get install docker-registry) or put it on PATH';
const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';

export interface Registry {
  readonly url: string;
  /** Pushes an image as `docker push` does, and answers its digest. Equal contents have equal digests. */
  push(image: {
    readonly repository: string;
    readonly tag: string;
    readonly content: string;
  }): Promise<string>;
  stop(): Promise<void>;
}

/** `describe` for suites that call `startRegistry`. */
export async function describeOnRegistry(name: string, suite: () => void): Promise<void> {
  const missing = (await findRegistry()) === undefined;
  if (missing && process.env['CI'] === undefined) describe.skip(`${name} (NOT RUN: ${MISSING})`, suite);
  else describe(name, suite);
}

/** Starts one on a free port with an empty store. It asks for a credential and takes any. */
export async function startRegistry(options: { readonly deletes?: boolean } = {}): Promise<Registry> {
  const program = await findRegistry();
  if (program === undefined) throw new Error(MISSING);
  const folder = await mkdtemp(join(tmpdir(), 'landlord-registry-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: {
      filesystem: { rootdirectory: join(folder, 'data') },
      delete: { enabled: options.deletes ?? true },
    },
    http: { addr: `127.0.0.1:${port}` },
    auth: { silly: { realm: 'tests', service: 'registry' } },
  };
  // Its configuration is YAML, of which JSON is a part.
  await writeFile(join(folder, 'config.yml'), JSON.stringify(config));
  const server = startServer(program, ['serve', join(folder, 'config.yml')]);
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually(() => answers(url), {
      what: 'the registry to answer',
      during: { output: () => server.output(), exited: () => (server.ended() ? 1 : undefined) },
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop, push: (image) => push(url, image) };
}

async function findRegistry(): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const path of PROGRAMS.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/v2/`).catch(() => undefined);
  return response?.status === 401;
}

async function push(
  url: string,
  { repository, tag, content }: Parameters<Registry['push']>[0],
): Promise<string> {
  const config = await pushBlob(url, repository, JSON.stringify({ architecture: 'amd64', os: 'linux' }));
  const layer = await pushBlob(url, repository, content);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', ...layer }],
  };
  const answer = await send(`${url}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    body: JSON.stringify(manifest),
    type: MANIFEST_TYPE,
  });
  return answer.headers.get('docker-content-digest') ?? '';
}

async function pushBlob(url: string, repository: string, content: string) {
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  const begun = await send(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const place = new URL(begun.headers.get('location') ?? '', url);
  place.searchParams.set('digest', digest);
  await send(place.href, { method: 'PUT', body: content, type: 'application/octet-stream' });
  return { digest, size: Buffer.byteLength(content) };
}

async function send(
  url: string,
  { method, body, type }: { readonly method: string; readonly body?: string; readonly type?: string },
): Promise<Response> {
  const response = await fetch(url, {
    method,
    headers: { authorization: 'Basic dDp0', ...(type !== undefined && { 'content-type': type }) },
    ...(body !== undefined && { body }),
  });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  return response;
}
