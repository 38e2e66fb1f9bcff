/**
 * What is to be said of a tenant? A pure function from what was desired, observed, planned and what failed to
 * the status and the events that tell of the change. It runs on every path; the result is written only when it
 * differs from what is stored, so a pass that changes nothing writes nothing.
 */
import { failureDelayMs } from '../../controller/outcome.ts';
import type { TenantEvent } from '../../store/store.ts';
import { isPaused, reconcileRequest } from '../../tenant/annotations.ts';
import { findCondition, mergeConditions } from '../../tenant/conditions.ts';
import { APP_AGAIN_INTENT, APP_INTENT } from './parts/app.ts';
import { addressType } from './parts/network.ts';
import { findMachine } from './parts/machine-identity.ts';
import { certificateIntent } from './parts/certificate.ts';
import { imageIntent } from './parts/image.ts';
import { chooseVolume, EXTEND_INTENT, mountedVolumeId } from './parts/volume.ts';
import type { Failure, Tenant, TenantStatus } from '../../tenant/schema.ts';
import { gravest, standingRefusals, type StepFailure } from './failures.ts';
import { findings, PAUSED_FINDING } from './findings.ts';
import { appOf, graceLeftMs, hostnameOf, type PlanInput } from './input.ts';
import { phaseOf } from './phase.ts';
import { LAST_GRACE_MS, UNNAMED_GRACE_MS } from './settings.ts';
import { pauseEvents, transitionEvents } from './transition-events.ts';
import type { Plan } from './steps.ts';

export interface Attempt {
  /** 1 when the pass before did not fail. */
  readonly number: number;
  /** Delay before the next attempt if this one fails. */
  readonly retryDelayMs: number;
}

export interface ReportInput extends PlanInput {
  readonly plan: Plan;
  readonly failures: readonly StepFailure[];
  readonly attempt: Attempt;
}

export interface Report {
  readonly status: TenantStatus;
  readonly events: readonly TenantEvent[];
}

/** The status that is true now, and what happened on the way to it. */
export function report(input: ReportInput): Report {
  const { tenant, observed, plan, failures, now } = input;
  const before = tenant.status;
  const worst = gravest(failures);
  const failure = failureOf(input, worst);
  const stalled =
    failure?.terminal === true || Object.values(plan.parts).some((part) => part.problem !== undefined);
  const judged = findings({ ...input, failure, stalled });
  const conditions = mergeConditions({
    previous: before?.conditions,
    findings: judged,
    generation: tenant.metadata.generation,
    now,
  });
  const image = imageOf(input);
  // A paused tenant was only looked at: whoever asked for more is served once it goes on.
  const handled = isPaused(tenant) ? undefined : reconcileRequest(tenant);
  const lastHandledReconcileAt = handled ?? before?.lastHandledReconcileAt;
  const requested = requestedOf(input);
  const machine = findMachine(tenant, observed.machines);
  const volume = chooseVolume(input);
  const status: TenantStatus = {
    observedGeneration: tenant.metadata.generation,
    ...(observed.vault !== undefined && { observedSecretsRevision: observed.vault.revision }),
    ...(lastHandledReconcileAt !== undefined && { lastHandledReconcileAt }),
    phase: phaseOf({ tenant, findings: judged }),
    conditions,
    ...(observed.app !== undefined && { app: { name: appOf(tenant), id: observed.app.id } }),
    // Never forgotten once made, except when its loss is acknowledged and another one is there. Where Fly has moved it,
    // its machine knows before any list does.
    ...(volume !== undefined
      ? { volume: { id: volume.id, sizeGb: volume.size_gb, region: volume.region } }
      : before?.volume !== undefined && {
          volume: { ...before.volume, id: mountedVolumeId(machine) ?? before.volume.id },
        }),
    ...(machine !== undefined && {
      machine: {
        id: machine.id,
        version: machine.instance_id,
        state: machine.state,
        ...(machine.image_ref?.digest !== undefined && { imageDigest: machine.image_ref.digest }),
        ...(machine.config?.guest?.memory_mb !== undefined && { memoryMb: machine.config.guest.memory_mb }),
      },
    }),
    // Asked for and not visible yet: its id is the quickest way to find it.
    ...(machine === undefined &&
      plan.parts.machine.wait !== undefined &&
      before?.machine !== undefined && { machine: before.machine }),
    ...(image !== undefined && { image }),
    addresses: observed.addresses
      .filter((address) => addressType(address) !== 'other')
      .map(({ ip }) => ip)
      .sort(),
    hostname: hostnameOf(tenant, input.settings),
    url: `https://${hostnameOf(tenant, input.settings)}`,
    ...(Object.keys(requested).length > 0 && { requested }),
    ...(failure !== undefined && { failure }),
  };
  return { status, events: transitionEvents({ tenant, status, plan, worst }) };
}

/**
 * What is said when the world could not be looked at: of a tenant that was as it should be, nothing (an outage
 * of Fly is no reason to write ten thousand rows); of any other, why nothing moves.
 */
export function reportUnobserved(input: {
  readonly tenant: Tenant;
  readonly failure: StepFailure;
  readonly attempt: Attempt;
  readonly now: number;
}): Report {
  const { tenant, failure, attempt, now } = input;
  const before = tenant.status ?? {};
  const { generation, deletionTimestamp } = tenant.metadata;
  const settled =
    findCondition(before.conditions, 'Ready')?.status === 'True' && before.observedGeneration === generation;
  if (settled && deletionTimestamp === undefined) return { status: before, events: [] };
  const { reason, message } = failure;
  const changed = mergeConditions({
    previous: before.conditions,
    findings: [
      { type: 'Ready', status: 'False', reason, message },
      isPaused(tenant) ? PAUSED_FINDING : { type: 'Reconciling', status: 'True', reason, message },
    ],
    generation,
    now,
  });
  const kept = (before.conditions ?? []).filter(({ type }) => type !== 'Ready' && type !== 'Reconciling');
  const status: TenantStatus = {
    ...before,
    phase: deletionTimestamp === undefined ? (before.phase ?? 'pending') : 'deleting',
    conditions: [...changed, ...kept],
  };
  // A wait is no failure.
  if (failure.kind === 'waiting') return { status, events: pauseEvents({ tenant, status }) };
  const secretsRevision = before.observedSecretsRevision ?? 0;
  const stands = standingRefusals(tenant, secretsRevision).length > 0;
  const failed = stands
    ? before.failure
    : failureRecord({ failure, attempt, now, generation, secretsRevision });
  const events = [...pauseEvents({ tenant, status }), { type: 'Warning' as const, reason, message }];
  return { status: { ...status, ...(failed !== undefined && { failure: failed }) }, events };
}

/** Pinned before any machine gets it; kept while the registry is asked anew for the next generation. */
function imageOf({ tenant, observed }: PlanInput): TenantStatus['image'] {
  if (observed.image.state === 'resolved')
    return {
      reference: observed.image.reference,
      digest: observed.image.digest,
      generation: tenant.metadata.generation,
    };
  return tenant.spec.image === undefined ? undefined : tenant.status?.image;
}

/** The journal of what was asked for, without what no longer matters: it is bounded. */
function requestedOf(input: PlanInput): Record<string, string> {
  const { tenant, observed, now } = input;
  const looking = imageIntent(tenant.metadata.generation);
  const kept = Object.entries(tenant.status?.requested ?? {}).filter(([intent]) => isOfUse(input, intent));
  const requested = Object.fromEntries(kept.map(([intent, at]) => [intent, notToCome(intent, at, now)]));
  if (observed.image.state === 'missing' && requested[looking] === undefined)
    requested[looking] = new Date(now).toISOString();
  return requested;
}

/**
 * A time that lies ahead was written by a clock that has been set back since: the grace begins now. Not that of a
 * grown volume, which the machine's metadata repeats: with another time the machine would be booted again.
 */
function notToCome(intent: string, at: string, now: number): string {
  return intent !== EXTEND_INTENT && Date.parse(at) > now ? new Date(now).toISOString() : at;
}

function isOfUse(input: PlanInput, intent: string): boolean {
  const { tenant, observed, settings } = input;
  if (intent.startsWith('image/'))
    return intent === imageIntent(tenant.metadata.generation) && observed.image.state === 'missing';
  const kept = tenant.metadata.deletionTimestamp === undefined;
  // An app that is seen while it is taken down and was asked for once cannot appear late any more.
  if (intent === APP_INTENT) return kept || observed.app === undefined;
  if (intent === APP_AGAIN_INTENT) return kept || graceLeftMs(input, intent, LAST_GRACE_MS) > 0;
  if (!intent.startsWith('certificate/')) return true;
  const hostnames = [hostnameOf(tenant, settings), ...tenant.spec.hostnames];
  const existing = observed.certificates.map(({ hostname }) => hostname);
  return (
    [...hostnames, ...existing].some((hostname) => certificateIntent(hostname) === intent) ||
    graceLeftMs(input, intent, UNNAMED_GRACE_MS) > 0
  );
}

/**
 * What stands in the way; a wait is no failure. What failed for good comes first, and all of it stays for as long as
 * anything is left to do: what is forgotten would be asked of Fly with every pass.
 */
function failureOf(input: ReportInput, worst: StepFailure | undefined): Failure | undefined {
  const { tenant, observed, plan, failures, attempt, now } = input;
  const { generation } = tenant.metadata;
  const secretsRevision = observed.vault?.revision ?? 0;
  const record = (failure: StepFailure): Failure =>
    failureRecord({ failure, attempt, now, generation, secretsRevision });
  // What somebody else has done meanwhile need not be asked for.
  const standing = plan.converged ? [] : standingRefusals(tenant, secretsRevision);
  const refused = failures.filter(({ kind }) => kind === 'terminal').map(record);
  const base = standing.length > 0 ? tenant.status?.failure : refused[0];
  if (base === undefined) return worst === undefined || worst.kind === 'waiting' ? undefined : record(worst);
  const { others: _, ...told } = base;
  const all = [...standing, ...refused].map(({ step, reason, message }) => ({ step, reason, message }));
  const [first, ...others] = all.filter(({ step }, at) => all.findIndex((one) => one.step === step) === at);
  return { ...told, ...first, ...(others.length > 0 && { others }) };
}

function failureRecord(options: {
  readonly failure: StepFailure;
  readonly attempt: Attempt;
  readonly now: number;
  readonly generation: number;
  readonly secretsRevision: number;
}): Failure {
  const { failure, attempt, now, generation, secretsRevision } = options;
  const terminal = failure.kind === 'terminal';
  const delayMs =
    failure.kind === 'bug'
      ? failureDelayMs({ kind: 'bug', error: failure.cause }, attempt.retryDelayMs)
      : Math.max(attempt.retryDelayMs, failure.minDelayMs ?? 0);
  return {
    step: failure.step.kind,
    reason: failure.reason,
    message: failure.message.slice(0, 1024),
    attempts: attempt.number,
    terminal,
    generation,
    secretsRevision,
    ...(!terminal && { nextAttemptAt: new Date(now + delayMs).toISOString() }),
  };
}
