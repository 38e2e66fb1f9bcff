/**
 * Where are secrets kept, and what may be asked of them? One row a tenant with the counters, one row a secret with
 * its ciphertext. Nothing is decrypted but to compare, to reveal, or to seal it with a newer key. What an owner
 * changes is notified with the tenant's uid, so that it reaches Fly soon; a lost notification is found by the sweep.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import { createLinks } from './links.ts';
import { lockSecrets, type LockedSecrets } from './locked-secrets.ts';
import { countByKey, resealAll } from './reseal.ts';
import { createSealer, VaultError, type EncryptionKey, type Sealer } from './seal.ts';
import { JWT_SECRET, PASSWORD, SECRETS_CHANNEL, type VaultDatabase, type VaultTables } from './tables.ts';
import type { AppliedSecrets, OwnersVault, RevealedSecrets, SecretRecord, VaultState } from './vault.ts';

/** The vault, and what its operator may do to all of it. */
export interface PostgresVault extends OwnersVault {
  /**
   * Seals everything anew that is not sealed with the first key, so that older keys can be dropped. Returns how
   * many secrets that were. Safe to stop and to repeat, and to run beside everything else.
   */
  reseal(signal: AbortSignal): Promise<number>;
  /** How many secrets each key has sealed, by the key's id. A key that is not listed may be dropped. */
  keysInUse(): Promise<ReadonlyMap<string, number>>;
}

export interface VaultOptions {
  readonly database: Pick<Database, 'db' | 'listen'>;
  /** The first one seals; all of them open. */
  readonly keys: readonly EncryptionKey[];
  readonly clock: Clock;
}

const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Landlord's own; an owner's value would be overruled without a word, so it is refused. */
const RESERVED = [JWT_SECRET, 'DATABASE_URL'];
const MOST_SECRETS = 200;

const appliedSchema = z.object({
  revision: z.int().min(0),
  version: z.int().min(0),
  digests: z.record(z.string(), z.string()),
});

export function createVault({ database, keys, clock }: VaultOptions): PostgresVault {
  const db = database.db.withTables<VaultTables>();
  const sealer = createSealer(keys);
  const links = createLinks(keys);

  const change = (
    { what, uid, wake }: { what: string; uid: string; wake: boolean },
    edit: (secrets: LockedSecrets) => Promise<void>,
  ): Promise<VaultState> =>
    attempt(`${what} of tenant "${uid}"`, () =>
      db.transaction().execute(async (transaction) => {
        const secrets = await lockSecrets({ transaction, sealer, links, uid, now: clock.now() });
        await edit(secrets);
        await secrets.finish({ wake });
        const state = await describeTenant(transaction, uid);
        if (state === undefined)
          throw new VaultError(`cannot ${what} of tenant "${uid}": they were forgotten`);
        return state;
      }),
    );

  return {
    describe: (uid) => attempt(`describe the secrets of tenant "${uid}"`, () => describeTenant(db, uid)),
    // These two carry out what the spec asks for: whoever wants them has woken the loop by the spec.
    generate: (uid) => change({ what: 'generate the secrets', uid, wake: false }, () => Promise.resolve()),
    rotate: (uid, requestedAt) =>
      change({ what: 'rotate the database password', uid, wake: false }, (secrets) =>
        secrets.rotate(requestedAt),
      ),
    set: (uid, values) =>
      change({ what: 'set the secrets', uid, wake: true }, (secrets) => setAll(secrets, values)),
    reveal: (uid) =>
      attempt(`reveal the secrets of tenant "${uid}"`, () =>
        // One snapshot, so that the values are those of the revision.
        db
          .transaction()
          .setIsolationLevel('repeatable read')
          .setAccessMode('read only')
          .execute((transaction) => revealTenant(transaction, sealer, uid)),
      ),
    list: (uid) => attempt(`list the secrets of tenant "${uid}"`, () => listSecrets(db, uid)),
    link: (uid) =>
      attempt(`show the credentials link of tenant "${uid}"`, () => links.show(db, uid, clock.now())),
    redeem: (uid, token) =>
      attempt(`use the credentials link of tenant "${uid}"`, () =>
        db.transaction().execute(async (transaction) => {
          // Holds back whoever changes the secrets, so that the values are those of one revision.
          await sql`SELECT FROM vault_tenants WHERE uid = ${uid} FOR SHARE`.execute(transaction);
          if (!(await links.use(transaction, uid, token))) return undefined;
          return revealTenant(transaction, sealer, uid);
        }),
      ),
    onChange: (wake) =>
      database.listen(SECRETS_CHANNEL, (uid) => {
        if (uid !== undefined) wake(uid);
      }),
    recordApplied: (uid, applied) =>
      attempt(`record the applied secrets of tenant "${uid}"`, () => recordApplied(db, uid, applied)),
    forget: (uid) =>
      attempt(`forget the secrets of tenant "${uid}"`, async () => {
        await db.deleteFrom('vault_tenants').where('uid', '=', uid).execute();
      }),
    reseal: (signal) => attempt('seal secrets with the newest key', () => resealAll({ db, sealer, signal })),
    keysInUse: () => attempt('look which keys are in use', () => countByKey(db)),
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

async function listSecrets(db: VaultDatabase, uid: string): Promise<SecretRecord[]> {
  const rows = await db
    .selectFrom('vault_secrets')
    .select(['name', 'created_at', 'changed_at'])
    .where('uid', '=', uid)
    .where('name', 'not in', [PASSWORD, JWT_SECRET])
    .orderBy('name')
    .execute();
  return rows.map((row) => ({ name: row.name, createdAt: row.created_at, updatedAt: row.changed_at }));
}

async function setAll(
  secrets: LockedSecrets,
  values: Readonly<Record<string, string | null>>,
): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    if (!SECRET_NAME.test(name))
      throw new VaultError(`cannot set secret "${name}": that is not the name of a variable`, 'refused');
    if (RESERVED.includes(name))
      throw new VaultError(`cannot set secret "${name}": Landlord sets it itself`, 'refused');
    await secrets.put(name, value);
  }
  if (secrets.count > MOST_SECRETS)
    throw new VaultError(`cannot set secrets: a tenant may not have more than ${MOST_SECRETS}`, 'refused');
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
