/**
 * Which image does a tag name? Fly's registry speaks the OCI distribution protocol. It takes the token as Basic
 * credentials, or refuses with the address of a token service, which then trades them for a Bearer token.
 */
import { z } from 'zod';
import { json, nothing, Unintelligible, type Call, type Transport } from './call.ts';
import { wire } from './decode.ts';
import { FlyError } from './errors.ts';
import type { FlyRegistry } from './fly.ts';
import type { HttpAnswer } from './http.ts';

/** Manifests and indexes, of OCI and of Docker: without a type in this list a registry answers with an old format. */
const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Fly's registry by the name that images carry, whatever address it is reached at. */
const REGISTRY_NAME = 'registry.fly.io';

const tokenSchema = wire<{ token?: string; access_token?: string }>({
  token: z.string().optional(),
  access_token: z.string().optional(),
});

export interface RegistryOptions {
  readonly registryUrl: URL;
  /** To the registry, with the Basic credentials unless a call has an authorization of its own. */
  readonly transport: Transport;
  /** To the token service at this origin, with the Basic credentials. */
  readonly transportTo: (origin: URL) => Transport;
}

export function createRegistry({ registryUrl, transport, transportTo }: RegistryOptions): FlyRegistry {
  /** Carries out the call, and once more with a Bearer token when the registry asks for one. */
  async function authorized<T>(call: Call<T>, signal: AbortSignal): Promise<T> {
    const seen: { challenge?: string | undefined } = {};
    const onRefusal = (answer: HttpAnswer) => (seen.challenge = answer.header('www-authenticate'));
    try {
      return await transport({ ...call, onRefusal }, signal);
    } catch (error) {
      const service = tokenService(seen.challenge ?? '', registryUrl);
      if (!(error instanceof FlyError) || error.reason !== 'Unauthorized' || service === undefined)
        throw error;
      const token = await transportTo(service)(tokenCall(service, call.subject), signal);
      return await transport(
        { ...call, headers: { ...call.headers, authorization: `Bearer ${token}` } },
        signal,
      );
    }
  }

  return {
    async resolve({ registry, repository, reference }, signal) {
      const name = `${registry}/${repository}${DIGEST.test(reference) ? '@' : ':'}${reference}`;
      if (registry !== REGISTRY_NAME && registry !== registryUrl.host) throw foreign(name);
      return await authorized<string | undefined>(
        {
          operation: 'Registry_resolve',
          subject: ['resolve', 'image', name],
          method: 'HEAD',
          path: manifestPath(repository, reference),
          headers: { accept: MANIFEST_TYPES },
          decode: (answer) => digestOf(answer, reference),
          means: { 404: () => undefined },
        },
        signal,
      );
    },
    deleteManifest: ({ repository, digest }, signal) =>
      authorized(
        {
          operation: 'Registry_delete_manifest',
          subject: ['delete', 'image', `${repository}@${digest}`],
          method: 'DELETE',
          path: manifestPath(repository, digest),
          decode: nothing,
          // 405: this registry never deletes on request, and cleans up by its own rules.
          means: { 404: nothing, 405: nothing },
        },
        signal,
      ),
  };
}

function manifestPath(repository: string, reference: string): string[] {
  return ['v2', ...repository.split('/'), 'manifests', reference];
}

function digestOf(answer: HttpAnswer, reference: string): string {
  const digest = answer.header('docker-content-digest') ?? '';
  if (!DIGEST.test(digest))
    throw new Unintelligible('the header Docker-Content-Digest is missing or malformed');
  if (DIGEST.test(reference) && digest !== reference) throw new Unintelligible('it is about another digest');
  return digest;
}

/** The token of Fly must not be shown to anybody else, and other registries would refuse it. */
function foreign(name: string): FlyError {
  return new FlyError(`cannot resolve image "${name}": only images of ${REGISTRY_NAME} can be resolved`, {
    kind: 'terminal',
    reason: 'BadRequest',
    operation: 'Registry_resolve',
    ambiguous: false,
  });
}

function tokenCall(service: URL, subject: Call<unknown>['subject']): Call<string> {
  return {
    operation: 'Registry_token',
    subject,
    path: service.pathname.split('/').filter((segment) => segment !== ''),
    query: Object.fromEntries(service.searchParams),
    decode(answer) {
      const { token, access_token: accessToken } = json(tokenSchema)(answer);
      const granted = token ?? accessToken;
      if (granted === undefined) throw new Unintelligible('the field token is missing or of another type');
      return granted;
    },
  };
}

/**
 * Address of the token service that a `WWW-Authenticate: Bearer realm="…",service="…",scope="…"` names, with service
 * and scope in its query; undefined when there is none, or when it is not at the registry's own site: our
 * credentials go nowhere else, whatever a registry says.
 */
function tokenService(challenge: string, registryUrl: URL): URL | undefined {
  const parameters = /^Bearer\s+(.*)$/i.exec(challenge)?.[1];
  if (parameters === undefined) return undefined;
  const values = new Map(
    [...parameters.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
  );
  const realm = values.get('realm') ?? '';
  if (!URL.canParse(realm)) return undefined;
  const service = new URL(realm);
  if (service.protocol !== registryUrl.protocol || !sameSite(service, registryUrl)) return undefined;
  for (const key of ['service', 'scope']) {
    const value = values.get(key);
    if (value !== undefined) service.searchParams.set(key, value);
  }
  return service;
}

/** The same host and port, or another host of the same registered domain (`auth.fly.io` for `registry.fly.io`). */
function sameSite(one: URL, other: URL): boolean {
  const domain = /[^.]+\.[a-z]+$/;
  const shared = domain.exec(one.hostname)?.[0];
  return one.host === other.host || (shared !== undefined && shared === domain.exec(other.hostname)?.[0]);
}
