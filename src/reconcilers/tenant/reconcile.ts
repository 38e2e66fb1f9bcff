/**
 * How does a tenant converge? The story of one pass: read what is desired, observe the world, plan, act, report.
 * Nothing of an earlier pass is trusted; whatever woke this one, it decides by what it finds.
 */
import { setMaxListeners } from 'node:events';
import { WaitingError, TerminalError, TransientError } from '../../controller/outcome.ts';
import type { ReconcileResult } from '../../controller/outcome.ts';
import type { ReconcileContext } from '../../controller/pass.ts';
import type { Clock } from '../../clock.ts';
import { ConflictError, NotFoundError, type TenantName, type TenantStore } from '../../store/store.ts';
import { isPaused } from '../../tenant/annotations.ts';
import { findCondition } from '../../tenant/conditions.ts';
import { FINALIZER } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { carryOut } from './carry-out.ts';
import { classifyFailure, gravest, waitMs, type StepFailure } from './failures.ts';
import { LOOK_INTERVAL_MS } from './input.ts';
import { observe, type ObserveDependencies } from './observe.ts';
import { NOTHING_OBSERVED } from './observed.ts';
import { Pass } from './pass.ts';
import { SWEEP_INTERVAL_MS } from './settings.ts';
import { PARTS, type Plan, type Wait } from './steps.ts';

export interface TenantReconcilerDependencies extends ObserveDependencies {
  readonly store: Pick<TenantStore, 'get' | 'update' | 'updateStatus'>;
  readonly clock: Clock;
  /** Whether a newer generation, the deletion, or a pause of the tenant is already known. */
  readonly isOutdated: (tenant: Tenant) => boolean;
  /** Wakes the key once the machine has left its present state; an addition to the look at a known time. */
  readonly awaitMachine: (key: string, machine: NonNullable<Wait['machine']>) => void;
}

/** The queue's key of a tenant. */
export function tenantKey({ namespace, name }: TenantName): string {
  return `${namespace}/${name}`;
}

export function createTenantReconciler(dependencies: TenantReconcilerDependencies) {
  return async function reconcile(key: string, context: ReconcileContext): Promise<ReconcileResult> {
    try {
      const tenant = await claim(dependencies, key);
      return tenant === undefined ? {} : await converge(dependencies, { key, tenant, context });
    } catch (error) {
      throw isOutcome(error)
        ? error
        : asOutcome(classifyFailure({ kind: 'observe', target: key }, error), {
            recheckAfterMs: 0,
            waitedMs: 0,
          });
    }
  };
}

interface Turn {
  readonly key: string;
  readonly tenant: Tenant;
  readonly context: ReconcileContext;
}

async function converge(dependencies: TenantReconcilerDependencies, turn: Turn): Promise<ReconcileResult> {
  const { key, tenant, context } = turn;
  const pass = await observeInto(dependencies, turn);
  const { signal } = context;
  const plan = await carryOut(pass, {
    ...dependencies,
    signal,
    isOutdated: () => dependencies.isOutdated(tenant),
  });
  const failure = gravest(pass.failures);
  const gone = tenant.metadata.deletionTimestamp !== undefined && plan.converged && failure === undefined;
  if (gone && !pass.acted && !isPaused(tenant)) return release(dependencies, pass.tenant);
  await pass.write(plan, []);
  signal.throwIfAborted();
  if (failure !== undefined) throw outcomeOf(dependencies, pass, failure);
  if (pass.superseded) return { requeueAfterMs: 0 };
  if (isPaused(tenant)) return { requeueAfterMs: sweepMs(dependencies) };
  // What the answers say is believed for a status, but only a look lets go of a tenant.
  if (gone) return { requeueAfterMs: LOOK_INTERVAL_MS };
  for (const { machine } of waits(plan)) if (machine !== undefined) dependencies.awaitMachine(key, machine);
  return { requeueAfterMs: nextLookMs(dependencies, plan) };
}

/** The tenant with our finalizer on it: from here on it cannot vanish while Fly holds anything of it. */
async function claim({ store }: TenantReconcilerDependencies, key: string): Promise<Tenant | undefined> {
  const [namespace = '', name = ''] = key.split('/');
  const tenant = await store.get({ namespace, name });
  if (tenant === undefined) return undefined;
  const { finalizers = [], deletionTimestamp } = tenant.metadata;
  if (finalizers.includes(FINALIZER)) return tenant;
  if (deletionTimestamp !== undefined) return undefined;
  try {
    return await store.update({
      ...tenant,
      metadata: { ...tenant.metadata, finalizers: [...finalizers, FINALIZER] },
    });
  } catch (error) {
    // Whoever was faster has changed the tenant, and that change wakes the key.
    if (error instanceof ConflictError || error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** Begins a pass by observing. When that fails, the failure is reported and thrown: nothing may be planned. */
async function observeInto(dependencies: TenantReconcilerDependencies, turn: Turn): Promise<Pass> {
  const { store, settings, clock } = dependencies;
  const { tenant, context } = turn;
  const options = { store, settings, context, tenant, observedAt: clock.now(), now: () => clock.now() };
  // Every call of the pass listens to this one signal; Node would take so many listeners for a leak.
  setMaxListeners(0, context.signal);
  try {
    return new Pass({ ...options, observed: await observe(dependencies, tenant, context.signal) });
  } catch (error) {
    const failure = classifyFailure({ kind: 'observe', target: tenant.metadata.name }, error);
    context.signal.throwIfAborted();
    const pass = new Pass({ ...options, observed: NOTHING_OBSERVED });
    await pass.writeUnobserved(failure);
    throw outcomeOf(dependencies, pass, failure);
  }
}

/** A look has shown that nothing is left: lets go of the tenant. */
async function release({ store }: TenantReconcilerDependencies, tenant: Tenant): Promise<ReconcileResult> {
  const finalizers = (tenant.metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
  try {
    await store.update({ ...tenant, metadata: { ...tenant.metadata, finalizers } });
  } catch (error) {
    if (error instanceof NotFoundError) return {};
    if (error instanceof ConflictError) return { requeueAfterMs: 0 };
    throw error;
  }
  return {};
}

function isOutcome(error: unknown): boolean {
  return error instanceof WaitingError || error instanceof TransientError || error instanceof TerminalError;
}

/** What the controller is told of a failure that the pass has written down. */
function outcomeOf(dependencies: TenantReconcilerDependencies, pass: Pass, failure: StepFailure): unknown {
  const ready = findCondition(pass.tenant.status?.conditions, 'Ready');
  const waitedMs =
    ready?.status === 'False' ? dependencies.clock.now() - Date.parse(ready.lastTransitionTime) : 0;
  return asOutcome(failure, { recheckAfterMs: sweepMs(dependencies), waitedMs });
}

function asOutcome(
  failure: StepFailure,
  { recheckAfterMs, waitedMs }: { readonly recheckAfterMs: number; readonly waitedMs: number },
): unknown {
  const { reason, message, minDelayMs, cause } = failure;
  switch (failure.kind) {
    case 'waiting':
      return new WaitingError(reason, message, {
        retryAfterMs: waitMs(minDelayMs ?? LOOK_INTERVAL_MS, waitedMs),
      });
    case 'transient':
      return new TransientError(reason, message, { cause, ...(minDelayMs !== undefined && { minDelayMs }) });
    case 'terminal':
      return new TerminalError(reason, message, { cause, recheckAfterMs });
    case 'bug':
      return cause;
    default:
      return failure.kind satisfies never;
  }
}

function waits(plan: Plan): Wait[] {
  return PARTS.flatMap((part) => plan.parts[part].wait ?? []);
}

/** The earliest time at which there is something to see; steps left over are begun by a pass of their own. */
function nextLookMs(dependencies: TenantReconcilerDependencies, plan: Plan): number {
  if (plan.steps.some((step) => step.needs.length === 0)) return LOOK_INTERVAL_MS;
  const delays = PARTS.flatMap((part) => [
    plan.parts[part].wait?.retryAfterMs ?? [],
    plan.parts[part].recheckMs ?? [],
  ]);
  return Math.min(sweepMs(dependencies), ...delays.flat());
}

/** Spread by ±10 %, so that tenants that were woken together do not stay together. */
function sweepMs({ clock }: TenantReconcilerDependencies): number {
  return SWEEP_INTERVAL_MS * (0.9 + 0.2 * clock.random());
}
