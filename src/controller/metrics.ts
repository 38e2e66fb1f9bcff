/**
 * What can an operator see of controllers and informers? Every metric of this folder in one list, made once for a
 * registry; controllers and informers share them and differ in a label. Counters begin at zero for every value of
 * their labels, so that an alert on a rate works before the first failure.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { OUTCOME_KINDS, type Outcome } from './outcome.ts';

/** Why an informer had to connect again. */
export const RESTART_CAUSES = ['ended', 'gone', 'silent', 'error'] as const;
export type RestartCause = (typeof RESTART_CAUSES)[number];

export interface ControllerMeter {
  /** `key`: for whoever follows single passes; keys are too many for labels. */
  started(pass: { readonly key: string; readonly waitedMs: number; readonly attempt: number }): void;
  ended(pass: { readonly key: string; readonly outcome: Outcome['kind']; readonly tookMs: number }): void;
}

export interface InformerMeter {
  restarted(cause: RestartCause): void;
}

/** Read at the moment of a scrape. */
export interface ControllerGauges {
  depth(): number;
  oldestWaitMs(): number;
  active(): number;
}

/** Read at the moment of a scrape. */
export interface InformerGauges {
  readonly size: number;
  readonly synced: boolean;
  readonly healthy: boolean;
}

export interface RuntimeMetrics {
  /** The meter of one controller; of two with one name, the later one's gauges are shown. */
  controller(name: string, gauges: ControllerGauges): ControllerMeter;
  informer(name: string, gauges: InformerGauges): InformerMeter;
}

/** A pass takes from a few milliseconds (nothing to do) to minutes (it waits for somebody). */
const PASS_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const WAIT_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300];

/** Registers every metric of the runtime. Once for a registry: prom-client refuses the second time. */
export function createRuntimeMetrics(registry: Registry): RuntimeMetrics {
  return { controller: controllerMeters(registry), informer: informerMeters(registry) };
}

function controllerMeters(registry: Registry): RuntimeMetrics['controller'] {
  const watched = new Map<string, ControllerGauges>();
  const counters = controllerCounters(registry);
  const gauge = gaugeFactory({ registry, label: 'controller', watched });
  gauge('landlord_workqueue_depth', 'Keys that are ready and wait for a worker.', (of) => of.depth());
  gauge('landlord_workqueue_oldest_wait_seconds', 'How long the key that was ready first has waited.', (of) =>
    seconds(of.oldestWaitMs()),
  );
  gauge('landlord_reconcile_active', 'Passes in flight.', (of) => of.active());

  return (controller, gauges) => {
    watched.set(controller, gauges);
    for (const outcome of OUTCOME_KINDS) counters.passes.inc({ controller, outcome }, 0);
    counters.retries.inc({ controller }, 0);
    counters.durations.zero({ controller });
    counters.waits.zero({ controller });
    return {
      started({ waitedMs, attempt }) {
        counters.waits.observe({ controller }, seconds(waitedMs));
        if (attempt > 1) counters.retries.inc({ controller });
      },
      ended({ outcome, tookMs }) {
        counters.passes.inc({ controller, outcome });
        counters.durations.observe({ controller }, seconds(tookMs));
      },
    };
  };
}

function controllerCounters(registry: Registry) {
  const registers = [registry];
  return {
    passes: new Counter({
      name: 'landlord_reconcile_total',
      help: 'Passes that ended, by outcome.',
      labelNames: ['controller', 'outcome'] as const,
      registers,
    }),
    durations: new Histogram({
      name: 'landlord_reconcile_duration_seconds',
      help: 'How long passes took.',
      labelNames: ['controller'] as const,
      buckets: PASS_BUCKETS_SECONDS,
      registers,
    }),
    waits: new Histogram({
      name: 'landlord_workqueue_wait_seconds',
      help: 'From the time for which a pass was wanted until it began.',
      labelNames: ['controller'] as const,
      buckets: WAIT_BUCKETS_SECONDS,
      registers,
    }),
    retries: new Counter({
      name: 'landlord_workqueue_retries_total',
      help: 'Passes that began as another attempt after a failure.',
      labelNames: ['controller'] as const,
      registers,
    }),
  };
}

function informerMeters(registry: Registry): RuntimeMetrics['informer'] {
  const watched = new Map<string, InformerGauges>();
  const restarts = new Counter({
    name: 'landlord_informer_restarts_total',
    help: 'Connections that ended and were made again, by cause.',
    labelNames: ['informer', 'cause'] as const,
    registers: [registry],
  });
  const gauge = gaugeFactory({ registry, label: 'informer', watched });
  gauge('landlord_informer_objects', 'Objects in the cache.', (of) => of.size);
  gauge('landlord_informer_synced', '1 once the first list is in the cache.', (of) => Number(of.synced));
  gauge('landlord_informer_healthy', '1 while the cache follows its source.', (of) => Number(of.healthy));

  return (informer, gauges) => {
    watched.set(informer, gauges);
    for (const cause of RESTART_CAUSES) restarts.inc({ informer, cause }, 0);
    return { restarted: (cause) => restarts.inc({ informer, cause }) };
  };
}

/** Makes gauges that are read from whatever is watched, instead of being kept up to date by it. */
function gaugeFactory<T>(options: {
  readonly registry: Registry;
  readonly label: 'controller' | 'informer';
  readonly watched: ReadonlyMap<string, T>;
}): (name: string, help: string, read: (of: T) => number) => void {
  return (name, help, read) => {
    new Gauge({
      name,
      help,
      labelNames: [options.label],
      registers: [options.registry],
      collect() {
        for (const [value, of] of options.watched) this.labels(value).set(read(of));
      },
    });
  };
}

/** Never negative, even when the machine's clock was set back meanwhile. */
function seconds(ms: number): number {
  return Math.max(ms, 0) / 1_000;
}
