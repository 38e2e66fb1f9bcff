/**
 * How does one change of a tenant's secrets go? Under the lock of the tenant's row: everything is opened, compared,
 * and only what differs is sealed and written. Whatever has changed in the end counts as one revision.
 */
import { randomBytes } from 'node:crypto';
import { sql, type Transaction } from 'kysely';
import type { Links } from './links.ts';
import type { Sealer } from './seal.ts';
import { JWT_SECRET, PASSWORD, SECRETS_CHANNEL, type VaultTables } from './tables.ts';

/** 24 and 48 random bytes are 32 and 64 characters that need no quoting in a URL or a shell. */
const PASSWORD_BYTES = 24;
const JWT_SECRET_BYTES = 48;

export interface LockedSecrets {
  /** How many there are, without the database password. */
  readonly count: number;
  /** Sets a secret, or removes it with null. */
  put(name: string, value: string | null): Promise<void>;
  /** A new database password, unless a request at least as new was served. */
  rotate(requestedAt: string): Promise<void>;
  /** Writes the counters; a new password gets a new link. `wake`: tells the loop. Must be called last. */
  finish(options: { readonly wake: boolean }): Promise<void>;
}

/** Locks the tenant's row until the transaction ends, and makes the row and what is generated if it is missing. */
export async function lockSecrets(options: {
  readonly transaction: Transaction<VaultTables>;
  readonly sealer: Sealer;
  readonly links: Links;
  readonly uid: string;
  readonly now: number;
}): Promise<LockedSecrets> {
  const { transaction, sealer, uid } = options;
  const counters = await lockCounters(transaction, uid);
  const passwordBefore = counters.passwordRevision;
  const values = await openAll(options);
  let changed = false;

  const locked: LockedSecrets = {
    get count() {
      return [...values.keys()].filter((name) => name !== PASSWORD).length;
    },
    async put(name, value) {
      if (values.get(name) === (value ?? undefined)) return;
      changed = true;
      if (value === null) {
        values.delete(name);
        await transaction
          .deleteFrom('vault_secrets')
          .where('uid', '=', uid)
          .where('name', '=', name)
          .execute();
        return;
      }
      values.set(name, value);
      const ciphertext = await sealer.seal({ uid, name }, value);
      const sealed = { key_id: sealer.keyId, ciphertext, changed_at: new Date(options.now) };
      await transaction
        .insertInto('vault_secrets')
        .values({ uid, name, ...sealed, created_at: sealed.changed_at })
        .onConflict((conflict) => conflict.columns(['uid', 'name']).doUpdateSet(sealed))
        .execute();
    },
    async rotate(requestedAt) {
      const served = counters.rotatedAt;
      if (served !== null && !(Date.parse(requestedAt) > Date.parse(served))) return;
      counters.rotatedAt = requestedAt;
      counters.passwordRevision += 1;
      await locked.put(PASSWORD, randomText(PASSWORD_BYTES));
    },
    async finish({ wake }) {
      if (!changed) return;
      if (counters.passwordRevision !== passwordBefore)
        await options.links.issue(transaction, uid, options.now);
      await transaction
        .updateTable('vault_tenants')
        .set({
          revision: counters.revision + 1,
          password_revision: counters.passwordRevision,
          rotated_at: counters.rotatedAt,
        })
        .where('uid', '=', uid)
        .execute();
      if (wake) await sql`SELECT pg_notify(${SECRETS_CHANNEL}, ${uid})`.execute(transaction);
    },
  };

  if (!values.has(PASSWORD)) {
    counters.passwordRevision += 1;
    await locked.put(PASSWORD, randomText(PASSWORD_BYTES));
  }
  if (!values.has(JWT_SECRET)) await locked.put(JWT_SECRET, randomText(JWT_SECRET_BYTES));
  return locked;
}

async function lockCounters(
  transaction: Transaction<VaultTables>,
  uid: string,
): Promise<{ revision: number; passwordRevision: number; rotatedAt: string | null }> {
  // DO UPDATE and not DO NOTHING: it locks the row that is there, also one that another caller is just making.
  const { rows } = await sql<{ revision: number; password_revision: number; rotated_at: string | null }>`
    INSERT INTO vault_tenants (uid, revision, password_revision) VALUES (${uid}, 0, 0)
    ON CONFLICT (uid) DO UPDATE SET uid = excluded.uid
    RETURNING revision, password_revision, rotated_at`.execute(transaction);
  const [row] = rows;
  if (row === undefined) throw new Error(`cannot lock the secrets of tenant "${uid}": the row is missing`);
  return { revision: row.revision, passwordRevision: row.password_revision, rotatedAt: row.rotated_at };
}

async function openAll({
  transaction,
  sealer,
  uid,
}: Parameters<typeof lockSecrets>[0]): Promise<Map<string, string>> {
  const rows = await transaction
    .selectFrom('vault_secrets')
    .select(['name', 'ciphertext'])
    .where('uid', '=', uid)
    .execute();
  const opened = rows.map(
    async ({ name, ciphertext }) => [name, await sealer.open({ uid, name }, ciphertext)] as const,
  );
  return new Map(await Promise.all(opened));
}

function randomText(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
}
