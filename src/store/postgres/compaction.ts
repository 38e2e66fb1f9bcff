/**
 * How long is the past kept? So long that a watcher which comes back after a restart finds its place, and no longer:
 * a bounded number of changes beside those of the last minutes, and the events of tenants that are gone for a week.
 */
import { sql } from 'kysely';
import { attempt } from '../../database/errors.ts';
import type { StoreDatabase } from './tables.ts';

export interface Retention {
  /** The newest changes that are always kept. */
  readonly keepChanges: number;
  /** Changes younger than this are kept, however many there are. */
  readonly keepChangesMs: number;
  /** Events of a tenant that no longer exists are kept for this long after the last of them. */
  readonly keepEventsMs: number;
}

/** Rows removed by one statement: the next one goes on, and nobody waits long for a lock in between. */
const BATCH = 5_000;
const MOST_BATCHES = 200;

/** Removes what is past its time. Safe to run in several processes at once. */
export function compact(db: StoreDatabase, options: Retention & { readonly now: number }): Promise<void> {
  return attempt('remove old changes', async () => {
    await raiseMark(db, options);
    for (const remove of [removeChanges, (database: StoreDatabase) => removeEvents(database, options)])
      for (let batch = 0; batch < MOST_BATCHES; batch += 1) if ((await remove(db)) < BATCH) break;
  });
}

/** First it is said that they are gone: a reader must never find a gap that it has not been told of. */
async function raiseMark(db: StoreDatabase, options: Retention & { readonly now: number }): Promise<void> {
  await sql`
    UPDATE tenant_compaction SET revision = cut.revision
    FROM (
      SELECT least(
        (SELECT revision FROM tenant_changes ORDER BY revision DESC OFFSET ${options.keepChanges} LIMIT 1),
        coalesce(
          (SELECT min(revision) - 1 FROM tenant_changes WHERE changed_at >= ${new Date(options.now - options.keepChangesMs)}),
          (SELECT max(revision) FROM tenant_changes)
        )
      ) AS revision
      WHERE (SELECT count(*) FROM tenant_changes) > ${options.keepChanges}
    ) AS cut
    WHERE cut.revision > tenant_compaction.revision`.execute(db);
}

async function removeChanges(db: StoreDatabase): Promise<number> {
  const result = await sql`
    DELETE FROM tenant_changes WHERE revision IN (
      SELECT revision FROM tenant_changes
      WHERE revision <= (SELECT revision FROM tenant_compaction) ORDER BY revision LIMIT ${BATCH}
    )`.execute(db);
  return Number(result.numAffectedRows ?? 0);
}

async function removeEvents(
  db: StoreDatabase,
  options: Retention & { readonly now: number },
): Promise<number> {
  const result = await sql`
    DELETE FROM tenant_events WHERE id IN (
      SELECT id FROM tenant_events
      WHERE last_at < ${new Date(options.now - options.keepEventsMs)}
        AND NOT EXISTS (SELECT FROM tenants WHERE uid = tenant_uid)
      LIMIT ${BATCH}
    )`.execute(db);
  return Number(result.numAffectedRows ?? 0);
}
