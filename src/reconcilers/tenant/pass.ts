/**
 * What is carried along while one pass over a tenant runs, and how is it written down? The status is also the
 * journal: before a step that Fly would do twice, the intent is written by compare-and-swap, so two controllers
 * can never both begin it, and a crash at any point leaves a trace to look for.
 */
import { isDeepStrictEqual } from 'node:util';
import { TransientError } from '../../controller/outcome.ts';
import type { ReconcileContext } from '../../controller/pass.ts';
import { ConflictError, type TenantEvent, type TenantStore } from '../../store/store.ts';
import type { Tenant, TenantStatus } from '../../tenant/schema.ts';
import type { StepFailure } from './failures.ts';
import type { Observed } from './observed.ts';
import { planTenant } from './plan.ts';
import { report, reportUnobserved } from './report.ts';
import { NAMED_GRACE_MS, type TenantSettings } from './settings.ts';
import type { Plan, Step } from './steps.ts';

export interface PassOptions {
  readonly store: Pick<TenantStore, 'get' | 'updateStatus'>;
  readonly settings: TenantSettings;
  readonly context: ReconcileContext;
  readonly tenant: Tenant;
  readonly observed: Observed;
  /** When the look began, in milliseconds since the epoch. */
  readonly observedAt: number;
  readonly now: () => number;
}

/** How often a status write is repeated because the spec was edited meanwhile. */
const WRITE_ATTEMPTS = 5;

/** One pass over one tenant, from what was observed to what is written. */
export class Pass {
  readonly #options: PassOptions;
  readonly failures: StepFailure[] = [];
  /** Events that wait for the next write; more may come while one is under way. */
  #unwritten: TenantEvent[] = [];
  /** Changes of the journal that wait for the next write: when an intent was asked for, undefined to forget it. */
  readonly #changes = new Map<string, string | undefined>();
  /** As the pass began with it, with the status as last written. */
  #tenant: Tenant;
  /** As the store has it. */
  #stored: Tenant;
  /** What the journal said of each intent before the step that it was last written for. */
  readonly #earlier = new Map<string, string | undefined>();
  #superseded = false;
  observed: Observed;
  /** Whether any step was tried: what is known then comes from answers, not from a look. */
  acted = false;

  constructor(options: PassOptions) {
    this.#options = options;
    this.#tenant = options.tenant;
    this.#stored = options.tenant;
    this.observed = options.observed;
  }

  /** The tenant as this pass began with it, with the status as last written and the journal as it is by now. */
  get tenant(): Tenant {
    if (this.#changes.size === 0) return this.#tenant;
    const { status } = this.#tenant;
    const journal = Object.entries({ ...status?.requested, ...Object.fromEntries(this.#changes) });
    const requested = Object.fromEntries(
      journal.filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    return { ...this.#tenant, status: { ...status, requested } };
  }

  /** The spec was edited or the tenant deleted since the pass began: no new step is begun. */
  get superseded(): boolean {
    return this.#superseded;
  }

  /**
   * The journal was changed and that is not written yet. No step may begin before it is: after a crash in that
   * step, the journal would say what is no longer so.
   */
  get ahead(): boolean {
    return this.#changes.size > 0;
  }

  plan(): Plan {
    const { settings, observedAt, now } = this.#options;
    return planTenant({ tenant: this.tenant, observed: this.observed, settings, now: now(), observedAt });
  }

  /** Tells of an event with the next write. */
  note(event: TenantEvent): void {
    this.#unwritten.push(event);
  }

  /** The step is done and its intent need not be remembered. */
  forget(intent: string): void {
    this.#changes.set(intent, undefined);
  }

  /**
   * The step is done, and what it made may show late. An answer that was long in coming, as to a process that stood
   * still, has used up the grace in which "not found" is not believed: that begins anew.
   */
  done(intent: string): void {
    const since = Date.parse(this.tenant.status?.requested?.[intent] ?? '');
    if (this.#options.now() - since > NAMED_GRACE_MS) this.renew(intent);
  }

  /** The step was not begun, or definitely had no effect: the journal says again what it said before. */
  withdraw(intent: string): void {
    this.#changes.set(intent, this.#earlier.get(intent));
  }

  /** The call ended, and nobody knows how: whatever it may still bring about is looked for from now on. */
  renew(intent: string): void {
    this.#changes.set(intent, new Date(this.#options.now()).toISOString());
  }

  /**
   * Writes status, intents of the steps about to begin, and events; nothing when nothing changed. Throws
   * TransientError when somebody else wrote the status meanwhile: this replica may not be the one to act.
   */
  async write(plan: Plan, beginning: readonly Step[]): Promise<void> {
    const { settings, context, observedAt, now } = this.#options;
    const at = now();
    const { observed, failures, tenant } = this;
    const attempt = { number: context.attempt, retryDelayMs: context.retryDelayMs };
    const told = report({ tenant, observed, settings, now: at, observedAt, plan, failures, attempt });
    for (const { intent } of beginning)
      if (intent !== undefined) this.#earlier.set(intent, tenant.status?.requested?.[intent]);
    await this.#writeReport(withIntents(told.status, beginning, at), told.events);
  }

  /** Writes that nothing could be observed. */
  async writeUnobserved(failure: StepFailure): Promise<void> {
    const { context, now } = this.#options;
    const attempt = { number: context.attempt, retryDelayMs: context.retryDelayMs };
    const told = reportUnobserved({ tenant: this.tenant, failure, attempt, now: now() });
    await this.#writeReport(told.status, told.events);
  }

  async #writeReport(status: TenantStatus, events: readonly TenantEvent[]): Promise<void> {
    const writing = { events: [...this.#unwritten, ...events], changes: [...this.#changes] };
    const before = this.#stored.status;
    // What the journal need not remember any more goes with the next write, and is no reason for one.
    const kept = writing.changes.length > 0 ? status : { ...status, ...journalOf(before, status) };
    if (!isDeepStrictEqual(kept, before) || writing.events.length > 0) {
      // Steps go on while the write is under way: what they note and change meanwhile is left for the next one.
      this.#unwritten = [];
      await this.#swap(status, writing.events);
    }
    for (const [intent, at] of writing.changes)
      if (this.#changes.get(intent) === at) this.#changes.delete(intent);
    if (before?.phase !== status.phase) this.#logPhase(before?.phase, status);
  }

  async #swap(status: TenantStatus, events: readonly TenantEvent[]): Promise<void> {
    const { store } = this.#options;
    let current = this.#stored;
    for (let attempt = 1; attempt <= WRITE_ATTEMPTS; attempt += 1) {
      try {
        this.#accept(await store.updateStatus({ metadata: current.metadata, status }, events));
        return;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        current = await this.#reread(current);
      }
    }
    throw conflict(this.#tenant);
  }

  /** An edit of the spec is no reason to lose what was done; another writer of the status is. */
  async #reread(current: Tenant): Promise<Tenant> {
    const fresh = await this.#options.store.get(current.metadata);
    const same =
      fresh?.metadata.uid === current.metadata.uid && isDeepStrictEqual(fresh.status, current.status);
    if (fresh === undefined || !same) throw conflict(current);
    return fresh;
  }

  #accept(stored: Tenant): void {
    const { generation, deletionTimestamp } = this.#tenant.metadata;
    this.#superseded ||=
      stored.metadata.generation !== generation || stored.metadata.deletionTimestamp !== deletionTimestamp;
    this.#stored = stored;
    this.#tenant = { ...this.#tenant, status: stored.status };
  }

  #logPhase(before: string | undefined, status: TenantStatus): void {
    const ready = status.conditions?.find(({ type }) => type === 'Ready');
    const { namespace, name } = this.#tenant.metadata;
    this.#options.context.log.info(
      { phase: status.phase, reason: ready?.reason },
      `tenant ${namespace}/${name}: ${before ?? 'new'} -> ${status.phase ?? 'unknown'} (${ready?.message ?? ''})`,
    );
  }
}

/** The journal with all that either of the two remembers, as a part of a status. */
function journalOf(before: TenantStatus | undefined, after: TenantStatus): Pick<TenantStatus, 'requested'> {
  const requested = { ...before?.requested, ...after.requested };
  return Object.keys(requested).length > 0 ? { requested } : {};
}

function withIntents(status: TenantStatus, beginning: readonly Step[], now: number): TenantStatus {
  const intents = beginning.flatMap((step) => step.intent ?? []);
  if (intents.length === 0) return status;
  const at = new Date(now).toISOString();
  return {
    ...status,
    requested: { ...status.requested, ...Object.fromEntries(intents.map((key) => [key, at])) },
  };
}

function conflict({ metadata }: Tenant): TransientError {
  return new TransientError(
    'StatusConflict',
    `cannot report tenant "${metadata.namespace}/${metadata.name}": its status was written by somebody else`,
  );
}
