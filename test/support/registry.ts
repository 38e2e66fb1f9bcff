/**
 * A real OCI registry for tests. Where it is neither installed nor can be built, the suites that need it say so by name,
 * and fail on CI.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { startServer } from '../cluster/server-process.ts';
import { findRegistry, MISSING_REGISTRY } from '../registry/program.ts';
import { eventually } from './eventually.ts';
import { freePort } from './processes.ts';

const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
/** What the registry asks for is a credential, not which. */
const ANY_CREDENTIAL = 'Basic dDp0';

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
  if (missing && process.env['CI'] === undefined)
    describe.skip(`${name} (NOT RUN: ${MISSING_REGISTRY})`, suite);
  else describe(name, suite);
}

/** Starts one on a free port with an empty store. It asks for a credential and takes any. */
export async function startRegistry(options: { readonly deletes?: boolean } = {}): Promise<Registry> {
  const program = await findRegistry();
  if (program === undefined) throw new Error(MISSING_REGISTRY);
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
  return { url, stop, push: (image) => pushImage({ url, authorization: ANY_CREDENTIAL, ...image }) };
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/v2/`).catch(() => undefined);
  return response?.status === 401;
}

/** Uploads the blobs of an image and then its manifest, as `docker push` does. Returns the digest; throws when refused. */
export async function pushImage(push: {
  readonly url: string;
  readonly repository: string;
  readonly tag: string;
  readonly content: string;
  readonly authorization: string;
}): Promise<string> {
  const { url, repository, tag, content, authorization } = push;
  const send = createSender(authorization);
  const upload = async (blob: string) => {
    const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
    const begun = await send(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
    const place = new URL(begun.headers.get('location') ?? '', url);
    place.searchParams.set('digest', digest);
    await send(place.href, { method: 'PUT', body: blob, type: 'application/octet-stream' });
    return { digest, size: Buffer.byteLength(blob) };
  };
  const config = await upload(JSON.stringify({ architecture: 'amd64', os: 'linux' }));
  const layer = await upload(content);
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

function createSender(authorization: string) {
  return async (
    url: string,
    { method, body, type }: { readonly method: string; readonly body?: string; readonly type?: string },
  ): Promise<Response> => {
    const response = await fetch(url, {
      method,
      headers: { authorization, ...(type !== undefined && { 'content-type': type }) },
      ...(body !== undefined && { body }),
    });
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
    return response;
  };
}
