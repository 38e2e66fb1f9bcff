/**
 * What is there? Reads ask the API server each time, because the loop takes a tenant's status for its journal and a
 * cache would show an old page of it. A list without a limit is gathered page by page, all of one version.
 */
import { z } from 'zod';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { KubernetesError } from '../../kubernetes/errors.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { formatLabelSelector, parseLabelSelector } from '../label-selector.ts';
import { InvalidError, type ListOptions, type TenantStore } from '../store.ts';
import type { Decoder } from './decode.ts';
import { attempt } from './failures.ts';
import { collectionPath, isLabel, isName, tenantPath, type Query } from './resource.ts';
import type { UidIndex } from './uid-index.ts';

type Reads = Pick<TenantStore, 'get' | 'getByUid' | 'list'>;

/** As kubectl and client-go: a few megabytes, parsed in some ten milliseconds. */
const PAGE_SIZE = 500;
/** A list with more pages than this has no end. */
const MOST_PAGES = 10_000;
const PAGE_TIMEOUT_MS = 30_000;
/** Nothing has a name like that: an empty list, and its version, cost next to nothing. */
const NOBODY = 'metadata.name=-';
const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Without specs and statuses. */
const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';

const listSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()),
});
const identitySchema = z.object({
  metadata: z.object({ uid: z.string(), namespace: z.string(), name: z.string() }),
});

type Page = z.infer<typeof listSchema>;

export function createReads(options: {
  readonly client: KubernetesClient;
  readonly decoder: Decoder;
  readonly uids: UidIndex;
}): Reads {
  const { client, decoder, uids } = options;

  function learned(stored: unknown): Tenant | undefined {
    const tenant = decoder.decode(stored);
    if (tenant !== undefined) uids.learn(tenant);
    return tenant;
  }

  const get: TenantStore['get'] = ({ namespace, name }) =>
    attempt(`get tenant "${namespace}/${name}"`, async () => {
      const stored = await getObject(client, { namespace, name });
      return stored === undefined ? undefined : learned(stored);
    });

  return {
    get,

    async getByUid(uid) {
      const wanted = uid.toLowerCase();
      if (!UID.test(wanted)) return undefined;
      const name = await attempt(`get tenant "${uid}"`, () => uids.find(wanted));
      const tenant = name === undefined ? undefined : await get(name);
      if (tenant?.metadata.uid === wanted) return tenant;
      uids.forget(wanted);
      return undefined;
    },

    list: (query = {}) =>
      attempt('list tenants', async () => {
        const list = await readList(client, query);
        const items = list.items.flatMap((stored) => learned(stored) ?? []);
        const { resourceVersion, continue: token } = list.metadata;
        return { items, resourceVersion, ...(token !== undefined && { continue: token }) };
      }),
  };
}

/** The object as the server has it; undefined when it does not exist. Throws KubernetesError. */
export async function getObject(
  client: KubernetesClient,
  name: { readonly namespace: string; readonly name: string },
): Promise<unknown> {
  if (!isName(name)) return undefined;
  try {
    return await client.call({ method: 'GET', path: tenantPath(name) });
  } catch (error) {
    // Without a subject it is the kind that does not exist, and that is not the same.
    const gone = error instanceof KubernetesError && error.status === 404 && Boolean(error.subject);
    if (gone) return undefined;
    throw error;
  }
}

/** Tells the index of every tenant. Throws KubernetesError. */
export async function listIdentities(client: KubernetesClient, learn: UidIndex['learn']): Promise<void> {
  const { items } = await gather((token) =>
    readPage(client, { query: { limit: PAGE_SIZE, continue: token }, accept: METADATA_ONLY }),
  );
  for (const item of items) {
    const parsed = identitySchema.safeParse(item);
    if (parsed.success) learn(parsed.data);
  }
}

/**
 * Resolves once the API server that answers has caught up with everything that was written before the question: it
 * serves an empty list from its watch cache, and waits for that cache to be as new as etcd. Throws KubernetesError.
 */
export async function awaitFreshness(
  client: KubernetesClient,
  options: { readonly namespace: string | undefined; readonly signal: AbortSignal },
): Promise<void> {
  const path = collectionPath(options.namespace, { fieldSelector: NOBODY });
  await client.call({ method: 'GET', path, signal: options.signal });
}

async function readList(client: KubernetesClient, options: ListOptions): Promise<Page> {
  const { namespace, owner, limit } = options;
  const selection: Query = {
    labelSelector: options.labelSelector && formatLabelSelector(parseLabelSelector(options.labelSelector)),
    fieldSelector: owner === undefined ? undefined : `spec.owner=${escaped(owner)}`,
  };
  // A namespace that can have no such name is an empty one, but its list must still have a version.
  const place = namespace !== undefined && !isLabel(namespace) ? { fieldSelector: NOBODY } : {};
  const within = namespace !== undefined && isLabel(namespace) ? namespace : undefined;
  const read = (token: string | undefined): Promise<Page> =>
    readPage(client, {
      namespace: within,
      query: { ...selection, ...place, limit: limit ?? PAGE_SIZE, continue: token },
    });
  return limit === undefined ? gather(read, options.continue) : read(options.continue);
}

/** All pages as one. Their version is the same; what expires in between is for the caller to begin anew. */
async function gather(read: (token: string | undefined) => Promise<Page>, token?: string): Promise<Page> {
  const first = await read(token);
  const items = [...first.items];
  let next = first.metadata.continue;
  for (let pages = 1; next !== undefined; pages += 1) {
    if (pages === MOST_PAGES) throw new Error(`cannot list tenants: there are more than ${MOST_PAGES} pages`);
    const page = await read(next);
    for (const item of page.items) items.push(item);
    next = page.metadata.continue;
  }
  return { items, metadata: { resourceVersion: first.metadata.resourceVersion } };
}

async function readPage(
  client: KubernetesClient,
  request: { readonly namespace?: string | undefined; readonly query: Query; readonly accept?: string },
): Promise<Page> {
  const { namespace, query, accept } = request;
  const path = collectionPath(namespace, query);
  const call = { method: 'GET', path, timeoutMs: PAGE_TIMEOUT_MS, ...(accept && { accept }) } as const;
  try {
    const { items, metadata } = listSchema.parse(await client.call(call));
    const { resourceVersion, continue: token } = metadata;
    return { items, metadata: { resourceVersion, ...(token && { continue: token }) } };
  } catch (error) {
    const refused = error instanceof KubernetesError && error.status === 400;
    if (!refused || query['continue'] === undefined) throw error;
    const message = 'must be a token of this very list';
    throw new InvalidError(`cannot list tenants: continue ${message}`, [{ path: 'continue', message }]);
  }
}

/** As `fields.EscapeValue` of the API server's own library. */
function escaped(value: string): string {
  return value.replace(/[\\,=]/g, (letter) => `\\${letter}`);
}
