/**
 * Where are secrets kept, and what may be asked of them? One row a tenant with the counters, one row a secret with
 * its ciphertext. Nothing is decrypted but to compare, to reveal, or to seal it with a newer key. Every change
 * notifies with the tenant's uid, so that it reaches Fly soon; a lost notification is found by the sweep.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import { lockSecrets, type LockedSecrets } from './locked-secrets.ts';
import { createSealer, VaultError, type EncryptionKey, type Sealer } from './seal.ts';
import { JWT_SECRET, PASSWORD, type VaultDatabase, type VaultTables } from './tables.ts';
import type { AppliedSecrets, RevealedSecrets, Vault, VaultState } from './vault.ts';

/** The vault, and what its operator may do to all of it. */
export interface PostgresVault extends Vault {
  /**
   * Seals everything anew that is not sealed with the first key, so that older keys can be dropped. Returns how
   * many secrets that were. Safe to stop and to repeat, and to run beside everything else.
   */
  reseal(signal: AbortSignal): Promise<number>;
}

export interface VaultOptions {
  readonly database: Pick<Database, 'db'>;
  /** The first one seals; all of them open. */
  readonly keys: readonly EncryptionKey[];
  readonly clock: Clock;
}

const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Landlord's own; an owner's value would be overruled without a word, so it is refused. */
const RESERVED = [JWT_SECRET, 'DATABASE_URL'];
const MOST_SECRETS = 200;
const RESEAL_BATCH = 50;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';

type SealedRow = Pick<VaultTables['vault_secrets'], 'uid' | 'name' | 'ciphertext'>;

const appliedSchema = z.object({
  revision: z.int().min(0),
  version: z.int().min(0),
  digests: z.record(z.string(), z.string()),
});

export function createVault({ database, keys, clock }: VaultOptions): PostgresVault {
  const db = database.db.withTables<VaultTables>();
  const sealer = createSealer(keys);

  const change = (
    what: string,
    uid: string,
    edit: (secrets: LockedSecrets) => Promise<void>,
  ): Promise<VaultState> =>
    attempt(`${what} of tenant "${uid}"`, () =>
      db.transaction().execute(async (transaction) => {
        const secrets = await lockSecrets({ transaction, sealer, uid, now: clock.now() });
        await edit(secrets);
        await secrets.finish();
        const state = await describeTenant(transaction, uid);
        if (state === undefined)
          throw new VaultError(`cannot ${what} of tenant "${uid}": they were forgotten`);
        return state;
      }),
    );

  return {
    describe: (uid) => attempt(`describe the secrets of tenant "${uid}"`, () => describeTenant(db, uid)),
    generate: (uid) => change('generate the secrets', uid, () => Promise.resolve()),
    rotate: (uid, requestedAt) =>
      change('rotate the database password', uid, (secrets) => secrets.rotate(requestedAt)),
    set: (uid, values) => change('set the secrets', uid, (secrets) => setAll(secrets, values)),
    reveal: (uid) =>
      attempt(`reveal the secrets of tenant "${uid}"`, () =>
        // One snapshot, so that the values are those of the revision.
        db
          .transaction()
          .setIsolationLevel('repeatable read')
          .setAccessMode('read only')
          .execute((transaction) => revealTenant(transaction, sealer, uid)),
      ),
    recordApplied: (uid, applied) =>
      attempt(`record the applied secrets of tenant "${uid}"`, () => recordApplied(db, uid, applied)),
    forget: (uid) =>
      attempt(`forget the secrets of tenant "${uid}"`, async () => {
        await db.deleteFrom('vault_tenants').where('uid', '=', uid).execute();
      }),
    reseal: (signal) => attempt('seal secrets with the newest key', () => resealAll({ db, sealer, signal })),
  };
}

async function describeTenant(db: VaultDatabase, uid: string): Promise<VaultState | undefined> {
  const row = await db.selectFrom('vault_tenants').selectAll().where('uid', '=', uid).executeTakeFirst();
  if (row === undefined) return undefined;
  const secrets = await db
    .selectFrom('vault_secrets')
    .select('name')
    .where('uid', '=', uid)
    .where('name', '<>', PASSWORD)
    .orderBy('name')
    .execute();
  return {
    revision: row.revision,
    names: secrets.map((secret) => secret.name),
    passwordRevision: row.password_revision,
    ...(row.rotated_at !== null && { rotatedAt: row.rotated_at }),
    ...(row.applied !== null && { applied: appliedSchema.parse(row.applied) }),
  };
}

async function setAll(
  secrets: LockedSecrets,
  values: Readonly<Record<string, string | null>>,
): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    if (!SECRET_NAME.test(name))
      throw new VaultError(`cannot set secret "${name}": that is not the name of a variable`);
    if (RESERVED.includes(name)) throw new VaultError(`cannot set secret "${name}": Landlord sets it itself`);
    await secrets.put(name, value);
  }
  if (secrets.count > MOST_SECRETS)
    throw new VaultError(`cannot set secrets: a tenant may not have more than ${MOST_SECRETS}`);
}

async function revealTenant(
  db: VaultDatabase,
  sealer: Sealer,
  uid: string,
): Promise<RevealedSecrets | undefined> {
  const state = await describeTenant(db, uid);
  if (state === undefined) return undefined;
  const rows = await db
    .selectFrom('vault_secrets')
    .select(['name', 'ciphertext'])
    .where('uid', '=', uid)
    .execute();
  const opened = rows.map(
    async ({ name, ciphertext }) => [name, await sealer.open({ uid, name }, ciphertext)] as const,
  );
  const { [PASSWORD]: databasePassword, ...values } = Object.fromEntries(await Promise.all(opened));
  if (databasePassword === undefined)
    throw new VaultError(`cannot reveal the secrets of tenant "${uid}": the database password is missing`);
  return { revision: state.revision, databasePassword, passwordRevision: state.passwordRevision, values };
}

/** A slow caller never overwrites what was applied after it. */
async function recordApplied(db: VaultDatabase, uid: string, applied: AppliedSecrets): Promise<void> {
  const { revision, version, digests } = appliedSchema.parse(applied);
  await sql`
    UPDATE vault_tenants SET applied = ${JSON.stringify({ revision, version, digests })}::jsonb
    WHERE uid = ${uid} AND coalesce((applied ->> 'revision')::bigint, 0) <= ${revision}`.execute(db);
}

/** Walks over the secrets once: two processes whose first keys differ must not keep undoing each other's work. */
async function resealAll(options: {
  db: VaultDatabase;
  sealer: Sealer;
  signal: AbortSignal;
}): Promise<number> {
  const { db, sealer, signal } = options;
  let resealed = 0;
  for (let last = { uid: NIL_UUID, name: '' }; !signal.aborted;) {
    const { rows } = await sql<SealedRow>`
      SELECT uid, name, ciphertext FROM vault_secrets
      WHERE key_id <> ${sealer.keyId} AND (uid, name) > (${last.uid}::uuid, ${last.name})
      ORDER BY uid, name LIMIT ${RESEAL_BATCH}`.execute(db);
    for (const row of rows) resealed += await resealOne(db, sealer, row);
    last = rows.at(-1) ?? last;
    if (rows.length < RESEAL_BATCH) break;
  }
  return resealed;
}

/** Not when somebody has written another value in the meantime: that one was sealed just now. */
async function resealOne(db: VaultDatabase, sealer: Sealer, row: SealedRow): Promise<number> {
  const value = await sealer.open(row, row.ciphertext);
  const sealed = { key_id: sealer.keyId, ciphertext: await sealer.seal(row, value) };
  const result = await db
    .updateTable('vault_secrets')
    .set(sealed)
    .where('uid', '=', row.uid)
    .where('name', '=', row.name)
    .where('ciphertext', '=', row.ciphertext)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}
