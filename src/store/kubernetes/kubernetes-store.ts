/**
 * Where do Tenants live when there is a cluster? On its API server, as objects that kubectl sees. This file only puts
 * the parts together: reads, writes, watches, and the telling of events. What REST reads of events stays in PostgreSQL.
 */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Clock } from '../../clock.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { StoreError, type EventStore, type TenantEvent, type TenantStore } from '../store.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { createDecoder } from './decode.ts';
import { createEventTeller } from './events.ts';
import { createKubernetesStoreMetrics } from './metrics.ts';
import { createReads, listIdentities } from './reads.ts';
import { createUidIndex } from './uid-index.ts';
import { watchTenants } from './watch.ts';
import { createWrites } from './writes.ts';

export interface KubernetesStore {
  readonly tenants: TenantStore;
  /** Reads from PostgreSQL; records there, and tells the cluster. */
  readonly events: EventStore;
  /** Writes the events that are left, for a moment. Client and event store stay open: they belong to the caller. */
  close(): Promise<void>;
}

export interface KubernetesStoreOptions {
  readonly client: KubernetesClient;
  /** Where REST reads events. */
  readonly events: EventStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Registry;
  /** How long one watch of the API server lasts. */
  readonly watchLifetimeMs?: number;
}

/** Well below the time after which the loop takes a silent watch for dead (130 s), also when it is spread. */
const WATCH_LIFETIME_MS = 90_000;
/** The server has written out the backlog before this is over. */
const QUIET_MS = 100;
/** What the last events may take when the daemon stops. */
const CLOSE_DEADLINE_MS = 2_000;

export function createKubernetesStore(options: KubernetesStoreOptions): KubernetesStore {
  const { client, events, clock, log, watchLifetimeMs: lifetimeMs = WATCH_LIFETIME_MS } = options;
  const metrics = createKubernetesStoreMetrics(options.metrics);
  const stopped = new AbortController();
  const decoder = createDecoder({ log, onMisfit: (misfit) => metrics.misfit(misfit) });
  const uids = createUidIndex({
    list: (learn) => listIdentities(client, learn),
    clock,
    stopped: stopped.signal,
  });
  const reads = createReads({ client, decoder, uids });
  const writes = createWrites({ client, decoder, uids });
  const teller = createEventTeller({ client, events, clock, log, metrics });

  async function updateStatus(
    tenant: Parameters<TenantStore['updateStatus']>[0],
    told: readonly TenantEvent[] = [],
  ): Promise<Tenant> {
    try {
      const updated = await writes.updateStatus(tenant);
      teller.tell(updated.metadata, told);
      return updated;
    } catch (error) {
      // Perhaps it was written: then nobody would tell of it again. A definite refusal is tried again, with its events.
      if (error instanceof StoreError && error.ambiguous) teller.tell(tenant.metadata, told);
      throw error;
    }
  }

  return {
    tenants: {
      ...reads,
      ...writes,
      updateStatus,
      watch: (watched) =>
        watchTenants({ client, decoder, uids, clock, lifetimeMs, quietMs: QUIET_MS }, watched),
    },
    events: {
      list: (uid, listed) => events.list(uid, listed),
      watch: (uid, watched) => events.watch(uid, watched),
      async record(uid, recorded) {
        await events.record(uid, recorded);
        // They are told where it counts; that the cluster is away is no reason to record them again.
        const tenant = await reads.getByUid(uid).catch(() => undefined);
        if (tenant !== undefined) teller.tellCluster(tenant.metadata, recorded);
      },
    },
    async close() {
      stopped.abort();
      await teller.close(CLOSE_DEADLINE_MS);
    },
  };
}
