/** What does the Kubernetes store have to give up? Counts of objects that do not fit and of events that were dropped. */
import { Counter, type Registry } from 'prom-client';
import type { Misfit } from './decode.ts';

export interface KubernetesStoreMetrics {
  misfit(misfit: Misfit): void;
  /** Events that reach neither place are dropped by each. */
  dropped(place: EventPlace, why: string, count: number): void;
}

/** Where events are told: `database` serves REST, `cluster` serves kubectl. */
export type EventPlace = 'database' | 'cluster';

export function createKubernetesStoreMetrics(registry: Registry): KubernetesStoreMetrics {
  const misfits = new Counter({
    name: 'landlord_kubernetes_misfit_tenants_total',
    help: 'Versions of stored tenants that do not fit the schema: used as they are, or left out.',
    labelNames: ['handling'],
    registers: [registry],
  });
  const dropped = new Counter({
    name: 'landlord_events_dropped_total',
    help: 'Events of tenants that were not told, by place (database: REST, cluster: kubectl) and reason.',
    labelNames: ['place', 'why'],
    registers: [registry],
  });
  misfits.inc({ handling: 'used' }, 0);
  misfits.inc({ handling: 'left out' }, 0);
  for (const place of ['database', 'cluster']) dropped.inc({ place, why: 'full' }, 0);
  return {
    misfit: (handling) => misfits.inc({ handling }),
    dropped: (place, why, count) => dropped.inc({ place, why }, count),
  };
}
