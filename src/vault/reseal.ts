/**
 * How does an old encryption key go out of use? Every secret that another key has sealed is sealed anew, in small
 * batches of their own transactions, beside everything else that happens. Stopping loses nothing: what is left says
 * so by its key id, and the next walk goes on there.
 */
import { sql } from 'kysely';
import type { Sealer } from './seal.ts';
import type { VaultDatabase, VaultTables } from './tables.ts';

const RESEAL_BATCH = 50;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';

type SealedRow = Pick<VaultTables['vault_secrets'], 'uid' | 'name' | 'ciphertext'>;

/** Number of secrets by the id of the key that sealed them. */
export async function countByKey(db: VaultDatabase): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('vault_secrets')
    .select(({ fn }) => ['key_id', fn.countAll<number>().as('secrets')])
    .groupBy('key_id')
    .orderBy('key_id')
    .execute();
  return new Map(rows.map((row) => [row.key_id, row.secrets]));
}

/** Walks over the secrets once: two processes whose first keys differ must not keep undoing each other's work. */
export async function resealAll(options: {
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
