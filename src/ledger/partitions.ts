/**
 * Which day's table does a record go to? Each day has a partition, made by whoever first writes to it; the clean-up
 * drops the days that are past their time. Days are those of UTC.
 */
import { sql } from 'kysely';
import { z } from 'zod';
import { attempt } from '../database/errors.ts';
import type { LedgerDatabase } from './tables.ts';

export interface Partitions {
  /** Makes the partitions that these times need. */
  ensure(timesMs: readonly number[]): Promise<void>;
  /** Drops every day that ended before this time. */
  dropBefore(timeMs: number): Promise<void>;
}

const DAY_MS = 24 * 60 * 60_000;
const NAME = /^request_metrics_(\d{4})(\d{2})(\d{2})$/;

export function createPartitions(db: LedgerDatabase): Partitions {
  const known = new Set<string>();

  async function make(day: number): Promise<void> {
    const name = nameOf(day);
    if (known.has(name)) return;
    const [from, to] = [day, day + DAY_MS].map((time) => sql.lit(new Date(time).toISOString()));
    await db.transaction().execute(async (transaction) => {
      // Two writers that make the same table at once would collide in the catalogue.
      await sql`SELECT pg_advisory_xact_lock(hashtext('request_metrics'))`.execute(transaction);
      await sql`
        CREATE TABLE IF NOT EXISTS ${sql.table(name)} PARTITION OF request_metrics
        FOR VALUES FROM (${from}) TO (${to})`.execute(transaction);
    });
    known.add(name);
  }

  return {
    ensure: (timesMs) =>
      attempt('make a partition for request metrics', async () => {
        const days = new Set(timesMs.map((time) => Math.floor(time / DAY_MS) * DAY_MS));
        for (const day of days) await make(day);
      }),
    dropBefore: (timeMs) =>
      attempt('drop old request metrics', async () => {
        const { rows } = await sql<{ name: unknown }>`
          SELECT inhrelid::regclass::text AS name FROM pg_inherits
          WHERE inhparent = 'request_metrics'::regclass ORDER BY 1`.execute(db);
        for (const { name } of rows) {
          const partition = z.string().parse(name);
          const [, year, month, day] = NAME.exec(partition) ?? [];
          const endsMs = Date.UTC(Number(year), Number(month) - 1, Number(day)) + DAY_MS;
          if (!(endsMs <= timeMs)) continue;
          await sql`DROP TABLE IF EXISTS ${sql.table(partition)}`.execute(db);
          known.delete(partition);
        }
      }),
  };
}

function nameOf(day: number): string {
  return `request_metrics_${new Date(day).toISOString().slice(0, 10).replaceAll('-', '')}`;
}
