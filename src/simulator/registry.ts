/**
 * Which images are there? The manifest part of an OCI registry (distribution specification, version 1.1): put,
 * read and delete by tag or digest. A repository belongs to the app of the same name. Layers are not kept: a
 * simulated machine runs nothing, so it only ever needs the digest.
 */
import type { Answer, Call } from './call.ts';
import { sha256 } from './images.ts';
import { drawMs, type Moment } from './moment.ts';
import { drop, own, type BootFailure, type ManifestRecord } from './state.ts';

const DIGEST = /^sha256:[a-f0-9]{64}$/;
const TAG = /^\w[\w.-]{0,127}$/;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

function problem(status: number, code: string, message: string): Answer {
  return { status, json: { errors: [{ code, message }] } };
}

function unknownManifest(): Answer {
  return problem(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
}

/** The digest that a tag or digest stands for in a repository, if the manifest is there. */
function digestOf(moment: Moment, repository: string, reference: string): string | undefined {
  const digest = DIGEST.test(reference) ? reference : own(moment.state.tags, `${repository}:${reference}`);
  return digest !== undefined && own(moment.state.manifests, `${repository}@${digest}`) !== undefined
    ? digest
    : undefined;
}

/** `GET /v2/`: says that this is a registry and that the credential is good. */
export function pingRegistry(): Answer {
  return { status: 200, json: {}, headers: { 'docker-distribution-api-version': 'registry/2.0' } };
}

export function showManifest(moment: Moment, call: Call): Answer {
  const { repository = '', reference = '' } = call.params;
  const digest = digestOf(moment, repository, reference);
  const manifest = digest === undefined ? undefined : own(moment.state.manifests, `${repository}@${digest}`);
  if (digest === undefined || manifest === undefined) return unknownManifest();
  return {
    status: 200,
    text: manifest.text,
    headers: { 'content-type': manifest.mediaType, 'docker-content-digest': digest },
  };
}

/** Stores a manifest and moves the tag to it. Answers the digest. */
export function storeManifest(
  moment: Moment,
  image: { repository: string; tag?: string; text: string; mediaType?: string; boot?: BootFailure },
): string {
  const { state, now, observer } = moment;
  const { repository, tag, text, boot } = image;
  const digest = sha256(text);
  const key = `${repository}@${digest}`;
  if (own(state.manifests, key) === undefined) {
    const manifest: ManifestRecord = {
      mediaType: image.mediaType ?? MANIFEST_TYPE,
      text,
      pushedAt: now,
      pullableAt: now + drawMs(moment, 'manifest'),
      ...(boot !== undefined && { boot }),
    };
    state.manifests[key] = manifest;
    observer.recordChanged?.('manifests', key);
  }
  if (tag !== undefined) {
    state.tags[`${repository}:${tag}`] = digest;
    observer.recordChanged?.('tags', `${repository}:${tag}`);
  }
  return digest;
}

function isJsonObject(text: string): boolean {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null && !Array.isArray(json);
  } catch {
    return false;
  }
}

export function putManifest(moment: Moment, call: Call): Answer {
  const { repository = '', reference = '' } = call.params;
  const app = own(moment.state.apps, repository.split('/')[0] ?? '');
  if (app === undefined) return problem(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  if (app.foreign) return problem(403, 'DENIED', 'requested access to the resource is denied');
  const text = call.body ?? '';
  if (!isJsonObject(text)) return problem(400, 'MANIFEST_INVALID', 'manifest invalid');
  if (DIGEST.test(reference) && sha256(text) !== reference) {
    return problem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  if (!DIGEST.test(reference) && !TAG.test(reference)) return problem(400, 'TAG_INVALID', 'invalid tag');
  const mediaType = call.headers['content-type'];
  const digest = storeManifest(moment, {
    repository,
    text,
    ...(TAG.test(reference) && { tag: reference }),
    ...(mediaType !== undefined && { mediaType }),
  });
  return {
    status: 201,
    headers: { 'docker-content-digest': digest, location: `/v2/${repository}/manifests/${digest}` },
  };
}

/** Fly documents no deletion; this is what the registry of the distribution project does. */
export function deleteManifest(moment: Moment, call: Call): Answer {
  const { repository = '', reference = '' } = call.params;
  const { state, observer } = moment;
  if (!DIGEST.test(reference)) return problem(400, 'UNSUPPORTED', 'The operation is unsupported.');
  if (digestOf(moment, repository, reference) === undefined) return unknownManifest();
  drop(state.manifests, `${repository}@${reference}`);
  observer.recordChanged?.('manifests', `${repository}@${reference}`);
  for (const [name, digest] of Object.entries(state.tags)) {
    if (digest === reference && name.startsWith(`${repository}:`)) {
      drop(state.tags, name);
      observer.recordChanged?.('tags', name);
    }
  }
  return { status: 202 };
}

export function listTags(moment: Moment, call: Call): Answer {
  const { repository = '' } = call.params;
  if (own(moment.state.apps, repository.split('/')[0] ?? '') === undefined) {
    return problem(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  }
  const tags = Object.keys(moment.state.tags)
    .filter((name) => name.startsWith(`${repository}:`))
    .map((name) => name.slice(repository.length + 1))
    .sort();
  return { status: 200, json: { name: repository, tags } };
}

/** The smallest manifest that is a real one; another content makes another digest. */
export function smallManifest(content: string): string {
  const blob = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: blob,
    layers: [blob],
    annotations: { 'org.opencontainers.image.description': content },
  });
}
