/**
 * How do tenants follow what is paid? The loop of the subscription reconciler: woken by the inbox of webhooks, by
 * changes of the tenants that are paid for, and by a look at everything at the start and now and then, so that what a
 * crash left between "stored" and "processed" is found.
 */
import type { Logger } from 'pino';
import type { Accounts, Billing } from './accounts/accounts.ts';
import { INBOX_CHANNEL } from './accounts/tables.ts';
import { sleep, type Clock } from './clock.ts';
import { createController, type Controller } from './controller/controller.ts';
import type { Informer } from './controller/informer.ts';
import type { RuntimeMetrics } from './controller/metrics.ts';
import { PRIORITY } from './controller/queue.ts';
import type { Database } from './database/connection.ts';
import { createSubscriptionReconciler } from './reconcilers/subscription/reconcile.ts';
import type { EventStore, TenantStore } from './store/store.ts';
import { SUBSCRIPTION_ANNOTATION } from './tenant/names.ts';
import type { Tenant } from './tenant/schema.ts';

/** A pass is a few queries; more at once would only crowd out the API. */
const CONCURRENCY = 8;
const SWEEP_INTERVAL_MS = 15 * 60_000;
const RETRY_SWEEP_MS = 10_000;
const PAGE = 500;

export interface BillingLoopOptions {
  readonly accounts: Pick<Accounts, 'plans' | 'subscriptions'>;
  readonly billing: Pick<Billing, 'checkouts'>;
  readonly store: TenantStore;
  readonly events: EventStore;
  /** Absent where nobody follows the tenants. */
  readonly tenants?: Pick<Informer<Tenant>, 'onChange'>;
  readonly listen: Database['listen'];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: RuntimeMetrics;
}

export interface BillingLoop {
  start(): void;
  /** Lets running passes end until the deadline, then cuts them off. */
  stop(deadlineMs: number): Promise<void>;
}

export function createBillingLoop(options: BillingLoopOptions): BillingLoop {
  const { clock, log, metrics } = options;
  const controller = createController({
    name: 'subscription',
    reconcile: createSubscriptionReconciler({ ...options, ...options.accounts, ...options.billing }),
    clock,
    log,
    concurrency: CONCURRENCY,
    ...(metrics !== undefined && { metrics }),
  });
  const stopping = new AbortController();
  let swept = Promise.resolve();
  let unlisten: (() => void)[] = [];
  let missed = new AbortController();

  async function keepSweeping(): Promise<void> {
    while (!stopping.signal.aborted) {
      missed = new AbortController();
      const afterMs = await sweep({ ...options, controller, signal: stopping.signal }).then(
        () => SWEEP_INTERVAL_MS,
        (error: unknown) => {
          log.warn({ err: error }, 'cannot look at all subscriptions; trying again');
          return RETRY_SWEEP_MS;
        },
      );
      await sleep(clock, afterMs, AbortSignal.any([stopping.signal, missed.signal]));
    }
  }

  function wakeByTenant({ metadata }: Tenant): void {
    const id = metadata.annotations?.[SUBSCRIPTION_ANNOTATION];
    if (id !== undefined) controller.enqueue(id, { priority: PRIORITY.step });
  }

  return {
    start() {
      unlisten = [
        options.listen(INBOX_CHANNEL, (id) => {
          if (id === undefined) missed.abort();
          else controller.enqueue(id, { priority: PRIORITY.edit, resetBackoff: true });
        }),
        options.tenants?.onChange(({ before, after }) => {
          if (before !== undefined && after !== undefined && isEdited(before, after)) wakeByTenant(after);
        }) ?? (() => undefined),
      ];
      controller.start();
      swept = keepSweeping();
    },
    async stop(deadlineMs) {
      for (const off of unlisten) off();
      stopping.abort();
      await swept;
      await controller.stop({ deadlineMs });
    },
  };
}

function isEdited(before: Tenant, after: Tenant): boolean {
  return before.metadata.generation !== after.metadata.generation;
}

/** Wants a look at every subscription, page by page. */
async function sweep(
  options: Pick<BillingLoopOptions, 'accounts'> & {
    readonly controller: Controller;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  for (let after: string | undefined = ''; after !== undefined && !options.signal.aborted;) {
    const page = await options.accounts.subscriptions.ids(after, PAGE);
    for (const id of page) options.controller.enqueue(id, { priority: PRIORITY.startup });
    after = page[PAGE - 1];
  }
}
