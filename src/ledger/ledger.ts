/**
 * What do the doors keep about requests? Answers that may be asked for again, who changed what, and how long it took.
 * This file puts the three together and removes, once an hour, what is past its time.
 */
import { sql } from 'kysely';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { sleep, type Clock } from '../clock.ts';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import { createSealer, type EncryptionKey } from '../vault/seal.ts';
import { createAuditLog, type AuditLog } from './audit.ts';
import { createIdempotencyStore, type IdempotencyStore } from './idempotency.ts';
import { createPartitions } from './partitions.ts';
import { createRequestLog, type RequestLog, type RequestSink } from './requests.ts';
import type { LedgerDatabase, LedgerTables } from './tables.ts';

export interface Ledger {
  readonly idempotency: IdempotencyStore;
  readonly audit: AuditLog;
  readonly requests: RequestLog;
  /** Removes what is past its time; runs by itself once an hour. */
  compact(): Promise<void>;
  /** Writes what is queued and ends the clean-up. The database stays open: it belongs to the caller. */
  close(): Promise<void>;
}

export interface LedgerOptions {
  /** Migrated. */
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Registry;
  /** Answers are sealed with the first; all of them open. */
  readonly keys: readonly EncryptionKey[];
  readonly keepAuditDays: number;
  readonly keepRequestsDays: number;
  readonly sink?: RequestSink;
}

const DAY_MS = 24 * 60 * 60_000;
const COMPACTION_INTERVAL_MS = 60 * 60_000;
/** Rows removed by one statement. */
const BATCH = 5_000;
const MOST_BATCHES = 200;

export function createLedger(options: LedgerOptions): Ledger {
  const { clock, log, metrics, sink } = options;
  const db: LedgerDatabase = options.database.db.withTables<LedgerTables>();
  const audit = createAuditLog({ db, clock });
  const requests = createRequestLog({ db, clock, log, metrics, ...(sink && { sink }) });
  const stopped = new AbortController();
  const ago = (days: number): number => clock.now() - days * DAY_MS;

  async function compact(): Promise<void> {
    await createPartitions(db).dropBefore(ago(options.keepRequestsDays));
    await remove(db, { table: 'audit_log', time: 'at', before: ago(options.keepAuditDays) });
    await remove(db, { table: 'idempotency_keys', time: 'expires_at', before: clock.now() });
  }

  async function keepCompacting(): Promise<void> {
    for (;;) {
      // Spread, so that replicas that were started together do not clean up together.
      await sleep(clock, COMPACTION_INTERVAL_MS * (0.9 + 0.2 * clock.random()), stopped.signal);
      if (stopped.signal.aborted) return;
      await compact().catch((error: unknown) =>
        log.warn({ cause: error instanceof Error ? error.message : String(error) }, 'will clean up later'),
      );
    }
  }
  const compacting = keepCompacting();

  return {
    idempotency: createIdempotencyStore({ db, clock, sealer: createSealer(options.keys) }),
    audit,
    requests,
    compact,
    async close() {
      stopped.abort();
      await Promise.all([compacting, audit.close(), requests.close()]);
    },
  };
}

function remove(
  db: LedgerDatabase,
  what: { readonly table: 'audit_log' | 'idempotency_keys'; readonly time: string; readonly before: number },
): Promise<void> {
  return attempt(`clean up ${what.table}`, async () => {
    for (let batch = 0; batch < MOST_BATCHES; batch += 1) {
      const result = await sql`
        DELETE FROM ${sql.table(what.table)} WHERE id IN (
          SELECT id FROM ${sql.table(what.table)} WHERE ${sql.ref(what.time)} <= ${new Date(what.before)} LIMIT ${BATCH}
        )`.execute(db);
      if (Number(result.numAffectedRows ?? 0) < BATCH) return;
    }
  });
}
