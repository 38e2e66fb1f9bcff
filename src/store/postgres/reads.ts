/**
 * What is there, now or as of a moment ago? A list is a snapshot: all its pages show the revision that the first
 * one was taken at, so that a watch from there neither misses nor repeats anything. Rows that changed since are
 * given back from the feed, which keeps how every tenant was before each change.
 */
import { createHash } from 'node:crypto';
import { sql, type RawBuilder, type Transaction } from 'kysely';
import { z } from 'zod';
import { attempt } from '../../database/errors.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { parseLabelSelector, type Requirement } from '../label-selector.ts';
import { GoneError, InvalidError, type ListOptions, type TenantStore } from '../store.ts';
import type { Decoder } from './decode.ts';
import { UID, type StoreDatabase, type StoreTables, type TenantRow } from './tables.ts';

type Reads = Pick<TenantStore, 'get' | 'getByUid' | 'list'>;

/** Where a page ended: the list's revision, and the last name that was handed out. */
interface Position {
  readonly revision: number;
  readonly namespace: string;
  readonly name: string;
}

/** Where the fields that a list chooses by are found, in a row or in a tenant that was stored whole. */
interface Source {
  readonly owner: RawBuilder<unknown>;
  readonly labels: RawBuilder<unknown>;
}

const CURRENT: Source = { owner: sql`spec ->> 'owner'`, labels: sql`labels` };
const FORMER: Source = {
  owner: sql`before -> 'spec' ->> 'owner'`,
  labels: sql`coalesce(before -> 'metadata' -> 'labels', '{}'::jsonb)`,
};

const tokenSchema = z.strictObject({
  revision: z.int().min(0),
  namespace: z.string(),
  name: z.string(),
  query: z.string(),
});

export function createReads(options: { readonly db: StoreDatabase; readonly decode: Decoder }): Reads {
  const { db, decode } = options;
  return {
    get: ({ namespace, name }) =>
      attempt(`get tenant "${namespace}/${name}"`, async () => {
        const query = db.selectFrom('tenants').selectAll();
        const found = query.where('namespace', '=', storable(namespace)).where('name', '=', storable(name));
        const row = await found.executeTakeFirst();
        return row && decode.row(row);
      }),

    getByUid: (uid) =>
      attempt(`get tenant "${uid}"`, async () => {
        if (!UID.test(uid)) return undefined;
        const row = await db.selectFrom('tenants').selectAll().where('uid', '=', uid).executeTakeFirst();
        return row && decode.row(row);
      }),

    list: (query = {}) =>
      attempt('list tenants', () =>
        db
          .transaction()
          .setIsolationLevel('repeatable read')
          .setAccessMode('read only')
          .execute((transaction) => readPage({ transaction, decode, query })),
      ),
  };
}

async function readPage(options: {
  readonly transaction: Transaction<StoreTables>;
  readonly decode: Decoder;
  readonly query: ListOptions;
}): ReturnType<Reads['list']> {
  const { transaction, decode, query } = options;
  const { limit } = query;
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0))
    throw invalid('limit', 'must be a whole number above zero');
  const selector = parseLabelSelector(query.labelSelector ?? '');
  const after = query.continue === undefined ? undefined : parseToken(query.continue, query);
  const bounds = await transaction
    .selectFrom(['tenant_revision', 'tenant_compaction'])
    .select(['tenant_revision.value as head', 'tenant_compaction.revision as compacted'])
    .executeTakeFirstOrThrow();
  const revision = after?.revision ?? bounds.head;
  if (revision < bounds.compacted || revision > bounds.head)
    throw new GoneError('cannot list tenants: the continue token is too old; list anew');

  const choose = (source: Source) => conditions({ query, selector, after, source });
  const tenants = await readCurrent(transaction, { choose, limit, revision, decode });
  if (revision < bounds.head)
    tenants.push(...(await readFormer(transaction, { choose, limit, revision, decode })));
  tenants.sort(byName);
  const items = limit === undefined ? tenants : tenants.slice(0, limit);
  const last = items.at(-1);
  const resourceVersion = String(revision);
  if (last === undefined || items.length === tenants.length) return { items, resourceVersion };
  const { namespace, name } = last.metadata;
  return { items, resourceVersion, continue: writeToken({ revision, namespace, name }, query) };
}

interface Selection {
  readonly choose: (source: Source) => RawBuilder<unknown>;
  readonly limit: number | undefined;
  readonly revision: number;
  readonly decode: Decoder;
}

/** Tenants that have not changed since the revision. */
async function readCurrent(db: Transaction<StoreTables>, selection: Selection): Promise<Tenant[]> {
  const { rows } = await sql<TenantRow>`
    SELECT * FROM tenants
    WHERE resource_version <= ${selection.revision}::bigint AND ${selection.choose(CURRENT)}
    ORDER BY namespace, name ${limited(selection.limit)}`.execute(db);
  return rows.map((row) => selection.decode.row(row));
}

/** Tenants that have changed since, as they were before the first of those changes. */
async function readFormer(db: Transaction<StoreTables>, selection: Selection): Promise<Tenant[]> {
  const { rows } = await sql<{ before: unknown }>`
    SELECT before FROM (
      SELECT DISTINCT ON (uid) namespace, name, before FROM tenant_changes
      WHERE revision > ${selection.revision}::bigint ORDER BY uid, revision
    ) AS first_change
    WHERE before IS NOT NULL AND ${selection.choose(FORMER)}
    ORDER BY namespace, name ${limited(selection.limit)}`.execute(db);
  return rows.map((row) => selection.decode.object(row.before));
}

function conditions(options: {
  readonly query: ListOptions;
  readonly selector: readonly Requirement[];
  readonly after: Position | undefined;
  readonly source: Source;
}): RawBuilder<unknown> {
  const { query, after, source } = options;
  const all = options.selector.map((requirement) => meets(requirement, source.labels));
  if (query.namespace !== undefined) all.push(sql`namespace = ${storable(query.namespace)}`);
  if (query.owner !== undefined) all.push(sql`${source.owner} = ${storable(query.owner)}`);
  if (after !== undefined) all.push(sql`(namespace, name) > (${after.namespace}, ${after.name})`);
  return all.length === 0 ? sql`true` : sql.join(all, sql` AND `);
}

function meets(requirement: Requirement, labels: RawBuilder<unknown>): RawBuilder<unknown> {
  const { key, operator } = requirement;
  switch (operator) {
    case 'in':
      return sql`${labels} ->> ${key}::text = ANY(${[...requirement.values]}::text[])`;
    case 'notin':
      return sql`${labels} ->> ${key}::text = ANY(${[...requirement.values]}::text[]) IS NOT TRUE`;
    case 'exists':
      return sql`jsonb_exists(${labels}, ${key}::text)`;
    case 'absent':
      return sql`NOT jsonb_exists(${labels}, ${key}::text)`;
    default:
      return operator satisfies never;
  }
}

/** One row more than asked for tells whether there is more. */
function limited(limit: number | undefined): RawBuilder<unknown> {
  return limit === undefined ? sql`` : sql`LIMIT ${limit + 1}`;
}

/** Names are ASCII, so that comparing code units is comparing bytes, as the database does. */
function byName(a: Tenant, b: Tenant): number {
  if (a.metadata.namespace !== b.metadata.namespace)
    return a.metadata.namespace < b.metadata.namespace ? -1 : 1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

/** PostgreSQL refuses a NUL in any text; no name has one, so a name that is never found stands in for it. */
function storable(text: string): string {
  return text.includes('\0') ? '' : text;
}

function writeToken(position: Position, query: ListOptions): string {
  return Buffer.from(JSON.stringify({ ...position, query: fingerprint(query) })).toString('base64url');
}

function parseToken(token: string, query: ListOptions): Position {
  const refused = invalid('continue', 'must be a token of this very list');
  try {
    const position = tokenSchema.parse(JSON.parse(Buffer.from(token, 'base64url').toString('utf8')));
    if (position.query !== fingerprint(query)) throw refused;
    return { ...position, namespace: storable(position.namespace), name: storable(position.name) };
  } catch {
    throw refused;
  }
}

function fingerprint({ namespace, owner, labelSelector }: ListOptions): string {
  const query = JSON.stringify([namespace ?? null, owner ?? null, labelSelector ?? '']);
  return createHash('sha256').update(query).digest('base64url').slice(0, 16);
}

function invalid(path: string, message: string): InvalidError {
  return new InvalidError(`cannot list tenants: ${path} ${message}`, [{ path, message }]);
}
