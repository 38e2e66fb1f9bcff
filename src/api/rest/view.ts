/**
 * What does a tenant look like to the CLI and the dashboard? Names and words of the wire contract, which knows fewer
 * of them than a Tenant has: the coarse words are derived here, the fine ones (phase, conditions) stand beside them.
 */
import { findCondition, type Condition } from '../../tenant/conditions.ts';
import { hostname } from '../../tenant/names.ts';
import type { Phase } from '../../tenant/phases.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { PlanView } from '../dependencies.ts';
import type { StatusView, TenantView } from './answers.ts';

/** `/status`: what the CLI polls for. It stops at `ready` and at `failed`, and goes on at anything else. */
export type CoarseStatus = 'pending' | 'provisioning' | 'ready' | 'failed' | 'suspended' | 'deleted';
/** What the tenant is as a thing that somebody owns; the CLI decodes it as a closed list. */
export type OwnedStatus = 'pending' | 'active' | 'suspended' | 'deleted';
/** The word of the former `fly_status` column. */
export type FlyStatus = 'pending' | 'awaiting_deploy' | 'running' | 'failed' | 'suspended' | 'deleting';

/** True when the loop has seen the present spec: an older observation must not pass for the answer to it. */
export function isObserved({ metadata, status }: Tenant): boolean {
  return status?.observedGeneration === metadata.generation;
}

/** True when a person must act, or the loop is backing off after a failure. */
export function isFailed({ status }: Tenant): boolean {
  const stalled = findCondition(status?.conditions, 'Stalled')?.status === 'True';
  return stalled || status?.phase === 'failed' || status?.failure !== undefined;
}

export function coarseStatus(tenant: Tenant): CoarseStatus {
  const { metadata, spec, status } = tenant;
  const observed = isObserved(tenant);
  if (metadata.deletionTimestamp !== undefined) return 'deleted';
  if (observed && status?.phase === 'failed') return 'failed';
  if (spec.state === 'Suspended') return 'suspended';
  if (status?.phase === undefined || status.phase === 'pending') return 'pending';
  return observed && ['running', 'awaiting_deploy'].includes(status.phase) ? 'ready' : 'provisioning';
}

export function ownedStatus({ metadata, spec, status }: Tenant): OwnedStatus {
  if (metadata.deletionTimestamp !== undefined) return 'deleted';
  if (spec.state === 'Suspended') return 'suspended';
  const built = !['pending', 'provisioning', 'failed'].includes(status?.phase ?? 'pending');
  return built || status?.machine !== undefined ? 'active' : 'pending';
}

export function flyStatus(phase: Phase | undefined): FlyStatus {
  switch (phase) {
    case undefined:
    case 'pending':
    case 'provisioning':
    case 'deploying':
      return 'pending';
    case 'awaiting_deploy':
      return 'awaiting_deploy';
    case 'running':
    case 'updating':
    case 'restarting':
    case 'resuming':
      return 'running';
    case 'suspending':
    case 'suspended':
      return 'suspended';
    case 'failed':
      return 'failed';
    case 'deleting':
      return 'deleting';
  }
}

/** Where the tenant answers, or will. */
export function addressOf({ metadata, status }: Tenant, subdomainSuffix: string) {
  const host = status?.hostname ?? hostname(metadata.uid, subdomainSuffix);
  return { host, url: status?.url ?? `https://${host}` };
}

/** The tenant itself: `data` of `GET /tenants/{id}`, of the list and of every verb. */
export function tenantView(tenant: Tenant, subdomainSuffix: string): TenantView {
  const { metadata, spec, status } = tenant;
  const { host, url } = addressOf(tenant, subdomainSuffix);
  return {
    id: metadata.uid,
    name: metadata.name,
    owner_customer_id: spec.owner,
    status: ownedStatus(tenant),
    phase: status?.phase ?? 'pending',
    fly_status: flyStatus(status?.phase),
    region: spec.region,
    memory_mb: spec.memoryMb,
    volume_gb: spec.volumeGb,
    plan: { id: spec.plan, name: spec.plan, memory_mb: spec.memoryMb, volume_gb: spec.volumeGb },
    image: spec.image,
    env: spec.env,
    hostnames: spec.hostnames,
    app_id: status?.app?.name,
    fly_app_name: status?.app?.name,
    fly_machine_id: status?.machine?.id,
    fly_volume_id: status?.volume?.id,
    fly_hostname: host,
    hostname: host,
    app_url: url,
    url,
    generation: metadata.generation,
    observed_generation: status?.observedGeneration ?? 0,
    created_at: metadata.creationTimestamp,
    deleted_at: metadata.deletionTimestamp,
  };
}

/** How the tenant is doing: `data` of `GET /tenants/{id}/status`. */
export function statusView(tenant: Tenant, subdomainSuffix: string): StatusView {
  const { metadata, status } = tenant;
  const { url } = addressOf(tenant, subdomainSuffix);
  const failure = status?.failure;
  return {
    status: coarseStatus(tenant),
    phase: status?.phase ?? 'pending',
    fly_status: flyStatus(status?.phase),
    machine_state: status?.machine?.state,
    deployed: status?.machine !== undefined,
    message: statusMessage(tenant),
    app_url: url,
    url,
    generation: metadata.generation,
    observed_generation: status?.observedGeneration ?? 0,
    failure: failure && {
      step: failure.step,
      reason: failure.reason,
      message: failure.message,
      attempts: failure.attempts,
      terminal: failure.terminal,
      next_attempt_at: failure.nextAttemptAt,
    },
    conditions: (status?.conditions ?? []).map(conditionView),
  };
}

export function planView(plan: PlanView) {
  return {
    generation: plan.generation,
    converged: plan.converged,
    steps: plan.steps,
    waits: plan.waits.map(({ retryAfterMs, ...wait }) => ({ ...wait, retry_after_ms: retryAfterMs })),
    problems: plan.problems,
  };
}

function conditionView(condition: Condition) {
  return {
    type: condition.type,
    status: condition.status,
    reason: condition.reason,
    message: condition.message,
    last_transition_time: condition.lastTransitionTime,
    observed_generation: condition.observedGeneration,
  };
}

function statusMessage(tenant: Tenant): string {
  const { status } = tenant;
  if (!isObserved(tenant)) return 'The newest change has not been looked at yet.';
  return (
    status?.failure?.message ?? findCondition(status?.conditions, 'Ready')?.message ?? 'Nothing is known yet.'
  );
}
