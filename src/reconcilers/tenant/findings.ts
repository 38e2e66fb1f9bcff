/**
 * Which conditions hold? The parts' own first, then the four that sum them up. Rules for the sums:
 * Ready needs a plan that is empty; Stalled needs a person; Reconciling is everything in between.
 */
import { isPaused, PAUSED } from '../../tenant/annotations.ts';
import { PART_CONDITIONS, type ConditionType, type Finding } from '../../tenant/conditions.ts';
import type { Failure, Tenant } from '../../tenant/schema.ts';
import type { ReportInput } from './report.ts';
import { healthChecks, isUnchecked } from './parts/machine.ts';
import { findMachine } from './parts/machine-identity.ts';
import { PARTS, type Part, type PartPlan } from './steps.ts';

/** Credentials and database are one thing to a person. */
const CONDITION_OF: Readonly<Record<Part, (typeof PART_CONDITIONS)[number]>> = {
  credentials: 'DatabaseReady',
  database: 'DatabaseReady',
  app: 'AppReady',
  network: 'NetworkReady',
  volume: 'VolumeReady',
  secrets: 'SecretsSynced',
  certificate: 'CertificateReady',
  image: 'ImageResolved',
  machine: 'MachineReady',
};

export interface FindingsInput extends ReportInput {
  readonly failure: Failure | undefined;
  readonly stalled: boolean;
}

export function findings(input: FindingsInput): Finding[] {
  const ready = readyFinding(input);
  return [
    ready,
    availableFinding(input),
    reconcilingFinding(input, ready),
    stalledFinding(input),
    ...PART_CONDITIONS.map((type) => partFinding(type, input)),
  ];
}

/** What a part says of itself, or the words of the step of its that failed. */
function partFinding(type: ConditionType, { plan, failures, failure }: FindingsInput): Finding {
  const parts = PARTS.filter((part) => CONDITION_OF[part] === type);
  const part = parts.find((name) => plan.parts[name].finding.status === 'False') ?? parts.at(-1) ?? 'app';
  const kinds = new Set<string>(parts.flatMap((name) => plan.parts[name].steps.map((step) => step.kind)));
  const failed =
    failures.find((item) => kinds.has(item.step.kind)) ??
    (failure && kinds.has(failure.step) ? failure : undefined);
  const { status, reason, message } = plan.parts[part].finding;
  if (failed !== undefined) return { type, status: 'False', reason: failed.reason, message: failed.message };
  return { type, status, reason, message };
}

function isOpen(part: PartPlan): boolean {
  return part.steps.length > 0 || part.wait !== undefined || part.problem !== undefined;
}

function readyFinding({ tenant, plan, failure }: FindingsInput): Finding {
  const type = 'Ready';
  if (tenant.metadata.deletionTimestamp !== undefined)
    return { type, status: 'False', reason: 'Deleting', message: 'the tenant is being deleted' };
  if (failure !== undefined)
    return { type, status: 'False', reason: failure.reason, message: failure.message };
  const open = PARTS.map((part) => plan.parts[part]);
  const first = open.find((part) => part.problem !== undefined) ?? open.find(isOpen);
  if (first !== undefined && isPaused(tenant))
    return { type, status: 'False', reason: 'Paused', message: `paused: ${first.finding.message}` };
  if (first !== undefined)
    return { type, status: 'False', reason: first.finding.reason, message: first.finding.message };
  return { type, status: 'True', ...settledReason(tenant) };
}

function settledReason({ spec }: Tenant): { reason: string; message: string } {
  if (spec.state === 'Suspended') return { reason: 'Suspended', message: 'suspended, as the spec wants it' };
  if (spec.image === undefined)
    return { reason: 'AwaitingDeploy', message: 'the infrastructure is ready; deploy an image to start' };
  return { reason: 'Running', message: 'running, as the spec wants it' };
}

/** Whether it answers requests, or would after the proxy wakes it. */
function availableFinding({ tenant, observed }: FindingsInput): Finding {
  const type = 'Available';
  const no = (reason: string, message: string): Finding => ({ type, status: 'False', reason, message });
  if (tenant.metadata.deletionTimestamp !== undefined) return no('Deleting', 'the tenant is being deleted');
  const machine = findMachine(tenant, observed.machines);
  if (tenant.spec.state === 'Suspended') return no('Suspended', 'the tenant is suspended');
  if (machine === undefined)
    return tenant.spec.image === undefined
      ? no('AwaitingDeploy', 'no image is deployed yet')
      : no('NoMachine', 'there is no machine yet');
  if (machine.config === undefined)
    return no('HostUnreachable', `the host of machine "${machine.id}" does not answer`);
  if (machine.state === 'started') {
    const failing = healthChecks(machine).find((check) => check.status === 'critical');
    if (failing !== undefined)
      return no(
        'HealthCheckFailing',
        `health check "${failing.name ?? ''}" of machine "${machine.id}" fails; see its logs`,
      );
    if (isUnchecked(machine))
      return {
        type,
        status: 'Unknown',
        reason: 'NoHealthYet',
        message: `machine "${machine.id}" is started; its health check has no result yet`,
      };
    return { type, status: 'True', reason: 'Serving', message: `machine "${machine.id}" is started` };
  }
  const exit = machine.events?.find((event) => event.type === 'exit')?.request?.exit_event;
  if (exit !== undefined && exit.requested_stop !== true && (exit.exit_code ?? 0) !== 0)
    return no('Crashed', `machine "${machine.id}" ended with exit code ${exit.exit_code ?? 0}; see its logs`);
  const wakes = machine.config.services?.some((service) => service.autostart === true) === true;
  if (wakes && (machine.state === 'stopped' || machine.state === 'suspended'))
    return {
      type,
      status: 'True',
      reason: 'Idle',
      message: `machine "${machine.id}" rests; the next request starts it`,
    };
  return no('NotStarted', `machine "${machine.id}" is ${machine.state}`);
}

/** What Reconciling says of a tenant that is paused, whatever else is known of it. */
export const PAUSED_FINDING: Finding = {
  type: 'Reconciling',
  status: 'False',
  reason: 'Paused',
  message: `nothing is changed until the annotation ${PAUSED} is taken away`,
};

function reconcilingFinding({ tenant, stalled }: FindingsInput, ready: Finding): Finding {
  const type = 'Reconciling';
  if (isPaused(tenant)) return PAUSED_FINDING;
  if (ready.status === 'True')
    return { type, status: 'False', reason: 'Converged', message: 'nothing is left to do' };
  if (stalled && ready.reason !== 'Deleting')
    return { type, status: 'False', reason: 'Stalled', message: 'waiting for a person to act' };
  return { type, status: 'True', reason: ready.reason, message: ready.message };
}

function stalledFinding({ stalled, failure, plan }: FindingsInput): Finding {
  const type = 'Stalled';
  if (!stalled) return { type, status: 'False', reason: 'Progressing', message: 'no person needs to act' };
  const problem = PARTS.map((part) => plan.parts[part].problem).find((item) => item !== undefined);
  // The same words as Ready has.
  const words = failure?.terminal === true ? failure : problem;
  return {
    type,
    status: 'True',
    reason: words?.reason ?? 'Stalled',
    message: words?.message ?? 'a person must act',
  };
}
