/**
 * What do create, update, updateStatus and delete mean, in Kubernetes' semantics? Each reads the tenant, decides
 * what it becomes, and commits only if nobody else has written it in between; what would change nothing is not
 * written at all.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../clock.ts';
import { attempt, DatabaseError } from '../../database/errors.ts';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { admitNew, admitStatus, admitUpdate } from '../admission.ts';
import {
  AlreadyExistsError,
  type NewTenant,
  type TenantEvent,
  type TenantName,
  type TenantStore,
  type TenantUpdate,
  type WriteOptions,
} from '../store.ts';
import { CHANGED, DRY_RUN_VERSION, notFound, quoted, refuse, requireSame, written } from '../write-rules.ts';
import { commitChange, type Change } from './commit.ts';
import { appendEvents } from './events.ts';
import type { StoreDatabase } from './tables.ts';

type Writes = Pick<TenantStore, 'create' | 'update' | 'updateStatus' | 'delete'>;

/** A delete without preconditions tries again when somebody writes in between; each time somebody has got on. */
const MOST_DELETE_ATTEMPTS = 10;

interface Context {
  readonly db: StoreDatabase;
  readonly clock: Clock;
  readonly get: TenantStore['get'];
}

export function createWrites(context: Context): Writes {
  return {
    create: (tenant, options) =>
      attempt(`create tenant ${quoted(tenant.metadata)}`, () => create(context, tenant, options)),
    update: (tenant, options) =>
      attempt(`update tenant ${quoted(tenant.metadata)}`, () => update(context, tenant, options)),
    updateStatus: (tenant, events) =>
      attempt(`update the status of tenant ${quoted(tenant.metadata)}`, () =>
        updateStatus(context, tenant, events),
      ),
    delete: (name, preconditions) =>
      attempt(`delete tenant ${quoted(name)}`, () => remove(context, name, preconditions)),
  };
}

async function create(
  context: Context,
  tenant: NewTenant,
  { dryRun = false }: WriteOptions = {},
): Promise<Tenant> {
  const { metadata, spec } = admitNew(tenant);
  const { namespace, name } = tenant.metadata;
  const now = context.clock.now();
  const fixed = { name, namespace, uid: randomUUID(), resourceVersion: DRY_RUN_VERSION, generation: 1 };
  const creationTimestamp = new Date(now).toISOString();
  const after: Tenant = {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { ...fixed, creationTimestamp, ...written(metadata) },
    spec,
  };
  // Asked first, so that a name that is taken costs no revision; the constraint decides between two at once.
  if ((await context.get(tenant.metadata)) !== undefined) throw taken(tenant.metadata);
  if (dryRun) return after;
  try {
    return await commit(context, 'create', { type: 'ADDED', after, now });
  } catch (error) {
    if (error instanceof DatabaseError && error.constraint === 'tenants_name') throw taken(tenant.metadata);
    throw error;
  }
}

async function update(
  context: Context,
  wanted: TenantUpdate,
  { dryRun = false }: WriteOptions = {},
): Promise<Tenant> {
  const before = await read(context, 'update', wanted.metadata);
  requireSame('update', before, wanted.metadata);
  const { metadata, spec } = admitUpdate(before, wanted);
  const { labels: _l, annotations: _a, finalizers: _f, ...fixed } = before.metadata;
  const respecified = !isDeepStrictEqual(spec, before.spec);
  const generation = fixed.generation + (respecified ? 1 : 0);
  const after: Tenant = { ...before, metadata: { ...fixed, generation, ...written(metadata) }, spec };
  if (dryRun || isDeepStrictEqual(after, before)) return after;
  const released = fixed.deletionTimestamp !== undefined && metadata.finalizers.length === 0;
  const type = released ? 'DELETED' : 'MODIFIED';
  return commit(context, 'update', { type, before, after, now: context.clock.now() });
}

async function updateStatus(
  context: Context,
  tenant: Parameters<TenantStore['updateStatus']>[0],
  events: readonly TenantEvent[] = [],
): Promise<Tenant> {
  const verb = 'update the status of';
  const status = admitStatus(tenant.metadata, tenant.status);
  const before = await read(context, verb, tenant.metadata);
  requireSame(verb, before, tenant.metadata);
  const same = isDeepStrictEqual(status, before.status);
  const change: Change = { type: 'MODIFIED', before, after: { ...before, status }, now: context.clock.now() };
  if (events.length === 0) return same ? before : commit(context, verb, change);
  return context.db.transaction().execute(async (transaction) => {
    // First the events, which take the tenant's own lock: the lock on the revision comes last.
    await appendEvents(transaction, { uid: before.metadata.uid, events, now: change.now });
    return same ? before : commit({ ...context, db: transaction }, verb, change);
  });
}

async function remove(
  context: Context,
  name: TenantName,
  preconditions: Parameters<TenantStore['delete']>[1] = {},
): Promise<Tenant> {
  for (let attempts = 1; attempts <= MOST_DELETE_ATTEMPTS; attempts += 1) {
    const before = await read(context, 'delete', name);
    requireSame('delete', before, preconditions);
    const change = deletion(before, context.clock.now());
    if (change === undefined) return before;
    const committed = await commitChange(context.db, change);
    if (committed !== undefined) return committed;
  }
  return refuse('delete', name, 'others keep changing it');
}

async function read(context: Context, verb: string, name: TenantName): Promise<Tenant> {
  const tenant = await context.get(name);
  if (tenant === undefined) throw notFound(verb, name);
  return tenant;
}

async function commit({ db }: Context, verb: string, change: Change): Promise<Tenant> {
  return (await commitChange(db, change)) ?? refuse(verb, change.after.metadata, CHANGED);
}

/** Undefined when it is under deletion already and only its finalizers keep it. */
function deletion(before: Tenant, now: number): Change | undefined {
  const { metadata } = before;
  if ((metadata.finalizers ?? []).length === 0) return { type: 'DELETED', before, after: before, now };
  if (metadata.deletionTimestamp !== undefined) return undefined;
  const deletionTimestamp = new Date(now).toISOString();
  // As in Kubernetes, to ask for deletion is to ask for something else than before: a new generation.
  const marked = { ...metadata, deletionTimestamp, generation: metadata.generation + 1 };
  return { type: 'MODIFIED', before, after: { ...before, metadata: marked }, now };
}

function taken(name: TenantName): AlreadyExistsError {
  return new AlreadyExistsError(`cannot create tenant ${quoted(name)}: it exists already`);
}
