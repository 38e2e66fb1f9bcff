/**
 * Where do Tenants live when there is no Kubernetes? In PostgreSQL. This file only puts the parts together: reads,
 * writes, the feed that watchers follow, events, and the clean-up once a minute.
 */
import type { Logger } from 'pino';
import { sleep, type Clock } from '../../clock.ts';
import type { Database } from '../../database/connection.ts';
import type { EventStore, Survey, TenantStore } from '../store.ts';
import { compact, type Retention } from './compaction.ts';
import { createDecoder } from './decode.ts';
import { createEventStore } from './events.ts';
import { createFeed } from './feed.ts';
import { createReads } from './reads.ts';
import { createSurvey } from './survey.ts';
import type { StoreTables } from './tables.ts';
import { createWrites } from './writes.ts';

export interface PostgresStore {
  readonly tenants: TenantStore;
  readonly events: EventStore;
  readonly survey: Survey;
  /** Removes what is past its time; runs by itself once a minute. */
  compact(): Promise<void>;
  /** Ends every watch and the clean-up. The database stays open: it belongs to the caller. */
  close(): Promise<void>;
}

export interface PostgresStoreOptions {
  /** Migrated (see database/migrations.ts). */
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** What a lost notification may cost. */
  readonly pollIntervalMs?: number;
  readonly bookmarkIntervalMs?: number;
  /** Changes kept in memory for watchers that are nearly up to date. */
  readonly cacheSize?: number;
  readonly retention?: Partial<Retention>;
}

const RETENTION: Retention = {
  keepChanges: 10_000,
  keepChangesMs: 5 * 60 * 1_000,
  keepEventsMs: 7 * 24 * 60 * 60 * 1_000,
};
const COMPACTION_INTERVAL_MS = 60_000;

export function createPostgresStore(options: PostgresStoreOptions): PostgresStore {
  const { database, clock, log } = options;
  const { pollIntervalMs = 5_000, bookmarkIntervalMs = 60_000, cacheSize = 1_000 } = options;
  const db = database.db.withTables<StoreTables>();
  const decode = createDecoder(log);
  const listen = database.listen;
  const reads = createReads({ db, decode });
  const writes = createWrites({ db, clock, get: reads.get });
  const feed = createFeed({ db, listen, decode, clock, pollIntervalMs, bookmarkIntervalMs, cacheSize });
  const events = createEventStore({ db, listen, clock, pollIntervalMs });
  const stopped = new AbortController();
  const compactNow = () => compact(db, { ...RETENTION, ...options.retention, now: clock.now() });

  async function keepCompacting(): Promise<void> {
    while (!stopped.signal.aborted) {
      // Spread, so that replicas that were started together do not clean up together.
      await sleep(clock, COMPACTION_INTERVAL_MS * (0.9 + 0.2 * clock.random()), stopped.signal);
      if (isStopped()) return;
      await compactNow().catch((error: unknown) =>
        log.warn({ cause: error instanceof Error ? error.message : String(error) }, 'will clean up later'),
      );
    }
  }
  const isStopped = () => stopped.signal.aborted;
  const compacting = keepCompacting();

  return {
    tenants: { ...reads, ...writes, watch: (watched) => feed.watch(watched) },
    events,
    survey: createSurvey(db),
    compact: compactNow,
    async close() {
      stopped.abort();
      await Promise.all([feed.close(), compacting]);
    },
  };
}
