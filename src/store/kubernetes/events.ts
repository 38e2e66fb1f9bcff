/**
 * Who is told what happened to a tenant? Two readers, each in its own place: the cluster's Events for kubectl, and the
 * event store in PostgreSQL for REST, which reads and streams from there. Both are written after the status, never
 * with it: an event must not tell of what a reader cannot see yet, and a place that is away must not hold up the loop.
 * Each has an outbox of its own and is tried until it is back, so that an event is rather told twice than never; a
 * crash in between loses the telling, not the truth, which stands in the status.
 */
import type { Logger } from 'pino';
import type { Clock } from '../../clock.ts';
import { DatabaseError } from '../../database/errors.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { KubernetesError } from '../../kubernetes/errors.ts';
import type { EventStore, TenantEvent } from '../store.ts';
import { createEventFilter, writeCoreEvent, type CoreEvent, type Involved } from './core-events.ts';
import type { EventPlace, KubernetesStoreMetrics } from './metrics.ts';
import { createOutbox } from './outbox.ts';

export interface EventTeller {
  /** Never waits and never throws. */
  tell(involved: Involved, events: readonly TenantEvent[]): void;
  /** Tells the cluster alone. */
  tellCluster(involved: Involved, events: readonly TenantEvent[]): void;
  /** Writes what is left until the deadline. */
  close(deadlineMs: number): Promise<void>;
}

export function createEventTeller(options: {
  readonly client: KubernetesClient;
  readonly events: Pick<EventStore, 'record'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: KubernetesStoreMetrics;
}): EventTeller {
  const { client, events: store, clock, log, metrics } = options;
  const common = (place: EventPlace) => ({
    name: `events for the ${place}`,
    onDropped: (why: string, count: number) => metrics.dropped(place, why, count),
    clock,
    log,
  });
  const database = createOutbox<{ readonly uid: string; readonly events: readonly TenantEvent[] }>({
    ...common('database'),
    write: ({ uid, events }) => store.record(uid, events),
    isPassing: (error) =>
      error instanceof DatabaseError && (error.kind === 'unavailable' || error.kind === 'busy'),
  });
  const cluster = createOutbox<CoreEvent>({
    ...common('cluster'),
    write: (event, signal) => writeCoreEvent(client, event, signal),
    isPassing: (error) =>
      error instanceof KubernetesError && (error.kind === 'unavailable' || error.kind === 'busy'),
  });
  const filter = createEventFilter(clock);

  function tellCluster(involved: Involved, events: readonly TenantEvent[]): void {
    for (const event of events)
      if (filter.admit(involved.uid)) cluster.put(involved.uid, { involved, event, at: clock.now() });
      else metrics.dropped('cluster', 'too many', 1);
  }

  return {
    tellCluster,
    tell(involved, events) {
      if (events.length === 0) return;
      database.put(involved.uid, { uid: involved.uid, events });
      tellCluster(involved, events);
    },
    async close(deadlineMs) {
      await Promise.all([database.close(deadlineMs), cluster.close(deadlineMs)]);
    },
  };
}
