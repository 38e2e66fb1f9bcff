/** Which changes are worth telling people? Events are derived from a change of status, and written with it. */
import type { TenantEvent } from '../../store/store.ts';
import { findCondition } from '../../tenant/conditions.ts';
import type { Tenant, TenantStatus } from '../../tenant/schema.ts';
import { words, type StepFailure } from './failures.ts';
import type { Plan } from './steps.ts';

export interface Transition {
  /** With the status as it was. */
  readonly tenant: Tenant;
  readonly status: TenantStatus;
  readonly plan: Plan;
  readonly worst: StepFailure | undefined;
}

export function transitionEvents(transition: Transition): TenantEvent[] {
  return [
    ...created(transition),
    ...pauseEvents(transition),
    ...drifted(transition),
    ...infrastructure(transition),
    ...becameReady(transition),
    ...failed(transition),
    ...stalled(transition),
    ...brokenImage(transition),
    ...tagLeft(transition),
  ];
}

function flipped({ tenant, status }: Transition, type: 'Ready' | 'Stalled'): boolean {
  const before = findCondition(tenant.status?.conditions, type)?.status === 'True';
  return !before && findCondition(status.conditions, type)?.status === 'True';
}

function created({ tenant }: Transition): TenantEvent[] {
  if (tenant.status?.observedGeneration !== undefined) return [];
  const { name } = tenant.metadata;
  return [{ type: 'Normal', reason: 'TenantCreated', message: `tenant "${name}" is accepted` }];
}

/** Somebody stopped the loop for this tenant, or lets it go on. */
export function pauseEvents({ tenant, status }: Pick<Transition, 'tenant' | 'status'>): TenantEvent[] {
  const [before, after] = [tenant.status?.conditions, status.conditions].map(
    (conditions) => findCondition(conditions, 'Reconciling')?.reason === 'Paused',
  );
  if (before === after) return [];
  return after === true
    ? [{ type: 'Normal', reason: 'Paused', message: 'the tenant is paused: nothing is changed on Fly' }]
    : [{ type: 'Normal', reason: 'Unpaused', message: 'the tenant is no longer paused' }];
}

/** It was as this very spec and these secrets want it, and is no longer: somebody changed Fly. */
function drifted({ tenant, status, plan }: Transition): TenantEvent[] {
  const before = findCondition(tenant.status?.conditions, 'Ready');
  const settled =
    before?.status === 'True' &&
    before.observedGeneration === tenant.metadata.generation &&
    tenant.status?.observedSecretsRevision === status.observedSecretsRevision;
  if (!settled || plan.steps.length === 0 || tenant.metadata.deletionTimestamp !== undefined) return [];
  const found = plan.steps.map((step) => `${words(step.kind)} "${step.target}": ${step.why}`).join('; ');
  return [{ type: 'Warning', reason: 'DriftDetected', message: found.slice(0, 1024) }];
}

/** Everything but the machine is there, for the first time. */
function infrastructure({ tenant, plan, status }: Transition): TenantEvent[] {
  if (tenant.metadata.deletionTimestamp !== undefined) return [];
  const complete = (conditions: TenantStatus['conditions']): boolean =>
    (['DatabaseReady', 'AppReady', 'NetworkReady', 'VolumeReady', 'SecretsSynced'] as const).every(
      (type) => findCondition(conditions, type)?.status === 'True',
    );
  const first = tenant.status?.machine === undefined && !complete(tenant.status?.conditions);
  if (!first || !complete(status.conditions) || plan.parts.app.steps.length > 0) return [];
  return [{ type: 'Normal', reason: 'InfrastructureReady', message: 'the infrastructure is ready' }];
}

const READY_EVENT: Readonly<Record<string, { reason: string; message: string }>> = {
  Running: { reason: 'TenantReady', message: 'the tenant runs' },
  Suspended: { reason: 'Suspended', message: 'the tenant is suspended' },
};

function becameReady(transition: Transition): TenantEvent[] {
  const event = READY_EVENT[findCondition(transition.status.conditions, 'Ready')?.reason ?? ''];
  if (event === undefined || !flipped(transition, 'Ready')) return [];
  const { url } = transition.status;
  const at = event.reason === 'TenantReady' && url !== undefined ? ` at ${url}` : '';
  return [{ type: 'Normal', reason: event.reason, message: `${event.message}${at}` }];
}

function failed({ worst }: Transition): TenantEvent[] {
  if (worst === undefined || worst.kind === 'waiting' || worst.kind === 'terminal') return [];
  return [{ type: 'Warning', reason: worst.reason, message: worst.message }];
}

function stalled(transition: Transition): TenantEvent[] {
  if (!flipped(transition, 'Stalled')) return [];
  const message = findCondition(transition.status.conditions, 'Stalled')?.message ?? '';
  const neverRan = transition.tenant.status?.machine === undefined;
  return [{ type: 'Warning', reason: neverRan ? 'ProvisioningFailed' : 'Stalled', message }];
}

/** Told with every attempt that was in vain: whoever keeps events counts them. */
function brokenImage({ tenant, status }: Transition): TenantEvent[] {
  const [before, after] = [tenant.status?.conditions, status.conditions].map((conditions) =>
    findCondition(conditions, 'MachineReady'),
  );
  if (after?.reason !== 'MachineDoesNotBoot' || before?.reason === 'MachineDoesNotBoot') return [];
  return [{ type: 'Warning', reason: after.reason, message: after.message }];
}

/** A deleted tenant's tag stays in the registry, and somebody should know. */
function tagLeft({ tenant, status }: Transition): TenantEvent[] {
  const [before, after] = [tenant.status?.conditions, status.conditions].map((conditions) =>
    findCondition(conditions, 'ImageResolved'),
  );
  if (after?.reason !== 'TagLeft' || before?.reason === 'TagLeft') return [];
  return [{ type: 'Warning', reason: 'ImageTagLeft', message: after.message }];
}
