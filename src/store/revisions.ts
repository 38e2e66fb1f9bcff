/**
 * What was deployed to a tenant, and when? One numbered row for each deploy, by digest, so that a rollback brings back
 * exactly what ran and not what a tag means by now. Only the newest are kept; all of them go with the tenant.
 */
import { sql } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';

export interface Revision {
  /** 1, 2, 3, … for each tenant. */
  readonly number: number;
  /** With its digest. */
  readonly image: string;
  /** Subject of who asked for it. */
  readonly deployedBy: string;
  readonly deployedAt: Date;
}

export interface RevisionStore {
  /** Adds a revision and answers its number; the newest one's number when that has the same image. */
  record(uid: string, deploy: { readonly image: string; readonly deployedBy: string }): Promise<number>;
  /** Newest first. */
  list(uid: string): Promise<Revision[]>;
}

/** More than anybody goes back, few enough to be listed whole. */
export const MOST_REVISIONS = 50;

// A type alias, because kysely asks for types with an index signature, which an interface does not have.
type RevisionTables = {
  readonly tenant_revisions: {
    readonly uid: string;
    readonly number: number;
    readonly image: string;
    readonly deployed_by: string;
    readonly deployed_at: Date;
  };
};

export function createRevisionStore({
  database,
  clock,
}: {
  readonly database: Database;
  readonly clock: Clock;
}): RevisionStore {
  const db = database.db.withTables<RevisionTables>();
  return {
    record: (uid, { image, deployedBy }) =>
      attempt(`record the revision of tenant "${uid}"`, () =>
        db.transaction().execute(async (transaction) => {
          // Two deploys at once take their numbers one after the other.
          await sql`SELECT pg_advisory_xact_lock(hashtext('tenant_revisions'), hashtext(${uid}))`.execute(
            transaction,
          );
          const newest = await transaction
            .selectFrom('tenant_revisions')
            .select(['number', 'image'])
            .where('uid', '=', uid)
            .orderBy('number', 'desc')
            .limit(1)
            .executeTakeFirst();
          if (newest?.image === image) return newest.number;
          const number = (newest?.number ?? 0) + 1;
          const deploy = { image, deployed_by: deployedBy, deployed_at: new Date(clock.now()) };
          await transaction
            .insertInto('tenant_revisions')
            .values({ uid, number, ...deploy })
            .execute();
          await transaction
            .deleteFrom('tenant_revisions')
            .where('uid', '=', uid)
            .where('number', '<=', number - MOST_REVISIONS)
            .execute();
          return number;
        }),
      ),
    list: (uid) =>
      attempt(`list the revisions of tenant "${uid}"`, async () => {
        const rows = await db
          .selectFrom('tenant_revisions')
          .select(['number', 'image', 'deployed_by', 'deployed_at'])
          .where('uid', '=', uid)
          .orderBy('number', 'desc')
          .execute();
        return rows.map((row) => ({
          number: row.number,
          image: row.image,
          deployedBy: row.deployed_by,
          deployedAt: row.deployed_at,
        }));
      }),
  };
}
