/**
 * What do create, update, updateStatus and delete send? Whatever is changed goes with the version that was read, and
 * the API server refuses it when that is no longer the stored one. Our own checks come first, so that both stores say
 * the same of the same mistake; the server's rules come after and have the last word.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { admitNew, admitStatus, admitUpdate, type AdmittedMetadata } from '../admission.ts';
import {
  ConflictError,
  StoreError,
  type NewTenant,
  type TenantName,
  type TenantStore,
  type TenantUpdate,
  type WriteOptions,
} from '../store.ts';
import { DRY_RUN_VERSION, notFound, quoted, requireSame, written } from '../write-rules.ts';
import type { Decoder } from './decode.ts';
import { attempt } from './failures.ts';
import { getObject } from './reads.ts';
import { collectionPath, FIELD_MANAGER, isName, tenantPath, type Query } from './resource.ts';
import type { UidIndex } from './uid-index.ts';

type Writes = Pick<TenantStore, 'create' | 'update' | 'delete'> & {
  /** Without events: who told of them is another matter. */
  readonly updateStatus: (tenant: Parameters<TenantStore['updateStatus']>[0]) => Promise<Tenant>;
};

interface Context {
  readonly client: KubernetesClient;
  readonly decoder: Decoder;
  readonly uids: UidIndex;
}

/** A delete without preconditions tries again when another tenant has the name by then. */
const MOST_DELETE_ATTEMPTS = 5;
const JSON_PATCH = 'application/json-patch+json';

/** What is kept of an object that is replaced: whatever others wrote stays as it is. */
const objectSchema = z.looseObject({ metadata: z.looseObject({}) });

export function createWrites(context: Context): Writes {
  return {
    create: (tenant, options) =>
      attempt(`create tenant ${quoted(tenant.metadata)}`, () => create(context, tenant, options)),
    update: (tenant, options) =>
      attempt(`update tenant ${quoted(tenant.metadata)}`, () => update(context, tenant, options)),
    updateStatus: (tenant) =>
      attempt(`update the status of tenant ${quoted(tenant.metadata)}`, () => updateStatus(context, tenant)),
    delete: (name, preconditions) =>
      attempt(`delete tenant ${quoted(name)}`, () => remove(context, name, preconditions)),
  };
}

async function create(context: Context, tenant: NewTenant, options?: WriteOptions): Promise<Tenant> {
  const { metadata, spec } = admitNew(tenant);
  const { namespace, name } = tenant.metadata;
  const created = await context.client.call({
    method: 'POST',
    path: collectionPath(namespace, writeQuery(options)),
    body: { apiVersion: API_VERSION, kind: KIND, metadata: { namespace, name, ...metadata }, spec },
  });
  if (options?.dryRun === true)
    return read(context, 'create', { stored: versioned(created), name: tenant.metadata });
  const stored = read(context, 'create', { stored: created, name: tenant.metadata });
  context.uids.learn(stored);
  return stored;
}

/** What was not written has no version. */
function versioned(planned: unknown): unknown {
  const object = objectSchema.parse(planned);
  return { ...object, metadata: { resourceVersion: DRY_RUN_VERSION, ...object.metadata } };
}

async function update(context: Context, wanted: TenantUpdate, options?: WriteOptions): Promise<Tenant> {
  const name = wanted.metadata;
  const stored = await getObject(context.client, name);
  if (stored === undefined) throw notFound('update', name);
  const before = read(context, 'update', { stored, name });
  requireSame('update', before, name);
  const { metadata, spec } = admitUpdate(before, wanted);
  const { labels: _l, annotations: _a, finalizers: _f, ...fixed } = before.metadata;
  const after: Tenant = { ...before, metadata: { ...fixed, ...written(metadata) }, spec };
  if (isDeepStrictEqual(after, before)) return before;
  const replaced = await context.client.call({
    method: 'PUT',
    path: tenantPath(name, { query: writeQuery(options) }),
    body: replacement(stored, { metadata, spec }),
  });
  return read(context, 'update', { stored: replaced, name });
}

/** The object with what the writer says of it, and with everything else that others have written there. */
function replacement(stored: unknown, { metadata, spec }: { metadata: AdmittedMetadata; spec: unknown }) {
  const object = objectSchema.parse(stored);
  // Without it the server goes on from what it has; half of it would be taken for the truth.
  const { managedFields: _m, ...kept } = object.metadata;
  return { ...object, metadata: { ...kept, ...metadata }, spec };
}

/**
 * A patch with the version in it, which the server refuses as it refuses a replace. A replace would have to repeat all
 * metadata: whoever applied a label that it leaves out would no longer count as its owner. Nothing is written when the
 * status is the same.
 */
async function updateStatus(
  context: Context,
  tenant: Parameters<TenantStore['updateStatus']>[0],
): Promise<Tenant> {
  const status = admitStatus(tenant.metadata, tenant.status);
  if (!isName(tenant.metadata)) throw notFound('update the status of', tenant.metadata);
  const stored = await context.client.call({
    method: 'PATCH',
    path: tenantPath(tenant.metadata, { subresource: 'status', query: writeQuery() }),
    contentType: JSON_PATCH,
    body: [
      { op: 'replace', path: '/metadata/resourceVersion', value: tenant.metadata.resourceVersion },
      // Replaces the former one as a whole.
      { op: 'add', path: '/status', value: status },
    ],
  });
  return read(context, 'update the status of', { stored, name: tenant.metadata });
}

async function remove(
  context: Context,
  name: TenantName,
  preconditions: Parameters<TenantStore['delete']>[1] = {},
): Promise<Tenant> {
  for (let attempts = 1; ; attempts += 1) {
    const stored = await getObject(context.client, name);
    if (stored === undefined) throw notFound('delete', name);
    const before = read(context, 'delete', { stored, name });
    requireSame('delete', before, preconditions);
    try {
      return await removeSame(context, before, preconditions.resourceVersion);
    } catch (error) {
      const pinned = preconditions.uid !== undefined || preconditions.resourceVersion !== undefined;
      if (!(error instanceof ConflictError) || pinned || attempts === MOST_DELETE_ATTEMPTS) throw error;
    }
  }
}

/** Deletes the very tenant that was read: what has its name by now may be another one. */
function removeSame(context: Context, before: Tenant, resourceVersion: string | undefined): Promise<Tenant> {
  const { uid } = before.metadata;
  return attempt(`delete tenant ${quoted(before.metadata)}`, async () => {
    const answer = await context.client.call({
      method: 'DELETE',
      path: tenantPath(before.metadata),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid, ...(resourceVersion !== undefined && { resourceVersion }) },
      },
    });
    // With finalizers left the answer is the tenant; without, a Status that says little.
    const kind = z.object({ kind: z.string() }).safeParse(answer);
    if (kind.data?.kind === KIND) return read(context, 'delete', { stored: answer, name: before.metadata });
    context.uids.forget(uid);
    return before;
  });
}

function read(
  { decoder }: Context,
  verb: string,
  { stored, name }: { readonly stored: unknown; readonly name: TenantName },
): Tenant {
  const tenant = decoder.decode(stored);
  if (tenant !== undefined) return tenant;
  throw new StoreError(`cannot ${verb} tenant ${quoted(name)}: what is stored under the name is no tenant`, {
    kind: 'refused',
  });
}

function writeQuery({ dryRun = false }: WriteOptions = {}): Query {
  return { fieldManager: FIELD_MANAGER, ...(dryRun && { dryRun: 'All' }) };
}
