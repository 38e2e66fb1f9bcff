/**
 * The one machine. Restart, resume, deploy and scale are all the same move: an update guarded by the machine's
 * version, whose config carries what it was made for. Whether it happened can therefore always be read from Fly,
 * and it happens once whatever crashes in between.
 */
import type { WireMachine, WireMachineCheck } from '../../../fly/wire.ts';
import { appOf, graceLeftMs, LOOK_INTERVAL_MS, type PlanInput } from '../input.ts';
import { NAMED_GRACE_MS, UNNAMED_GRACE_MS, WEDGED_AFTER_MS } from '../settings.ts';
import { blocked, settled, waiting, working, type DraftStep, type PartPlan } from '../steps.ts';
import { BOOT_INTENT, bootedInVain, needsStart, startedInVain } from './machine-boot.ts';
import { desiredConfig, differences } from './machine-config.ts';
import { findMachine, machineName, METADATA } from './machine-identity.ts';
import { chooseVolume, isAcknowledged, mountedVolumeId } from './volume.ts';

const RESTING = new Set(['stopped', 'suspended', 'created', 'failed']);
/** Stands for the volume's id in a plan that makes the volume first. */
const VOLUME_TO_COME = '(the volume to be created)';
/** A machine that was to be launched is `created` for as long as its image is being unpacked. */
const LAUNCH_GRACE_MS = 60_000;
const HOST_RECHECK_MS = 30_000;
/** While a machine changes state its wait call ends sooner than this; a plain look is the safety net. */
const TRANSITION_RECHECK_MS = 5_000;
const CHECKS_RECHECK_MS = { shortest: 5_000, longest: 600_000 };

/** Sets MachineReady. True also for a machine that Fly's proxy has stopped because nobody uses it. */
export function planMachine(input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const machine = findMachine(tenant, observed.machines);
  const image = observed.image;
  if (image.state === 'none') return withoutImage(input, machine);
  if (machine === undefined) return withoutMachine(input);
  const app = appOf(tenant);
  if (machine.config === undefined)
    return waiting({
      reason: 'HostUnreachable',
      message: `the host of machine "${machine.id}" does not answer; Fly brings it back or moves the machine`,
      retryAfterMs: HOST_RECHECK_MS,
    });
  if (machine.state !== 'started' && !isResting(machine, input.now)) return inTransition(input, machine);
  const volume = chooseVolume(input);
  const volumeId = volume?.id ?? VOLUME_TO_COME;
  const mounted = mountedVolumeId(machine);
  const missing = volume === undefined && mounted !== undefined && !isAcknowledged(tenant, mounted);
  // The image is not known (yet), or the volume does not show: their parts say so, and what runs is left alone.
  if (image.state !== 'resolved' || missing)
    return settled('Unchanged', `machine "${machine.id}" is left as it is`);
  if (mounted !== volumeId)
    return working('ReplacingMachine', `machine "${machine.id}" is being replaced`, [
      {
        kind: 'destroyMachine',
        app,
        machineId: machine.id,
        target: machine.id,
        why: `it mounts ${mounted ?? 'no volume'}, the tenant's volume is ${volumeId}, and Fly cannot swap mounts`,
      },
    ]);
  const config = desiredConfig(input, { digest: image.digest, volumeId, machine });
  const changes = differences(config, machine.config);
  if (changes.length > 0) return update({ input, machine, config, changes });
  return power(input, machine);
}

/** A machine that was created to be launched passes through `created` by itself; one left there was not launched. */
function isResting(machine: WireMachine, now: number): boolean {
  if (machine.state !== 'created') return RESTING.has(machine.state);
  const updated = machine.events?.some((event) => event.type === 'update') === true;
  return updated || now - (Date.parse(machine.created_at ?? '') || now) > LAUNCH_GRACE_MS;
}

function withoutImage(input: PlanInput, machine: WireMachine | undefined): PartPlan {
  const { tenant } = input;
  if (machine === undefined)
    return notVisibleYet(input, UNNAMED_GRACE_MS) ?? settled('AwaitingDeploy', 'no image is deployed yet');
  return working('DestroyingMachine', `machine "${machine.id}" is being destroyed`, [
    {
      kind: 'destroyMachine',
      app: appOf(tenant),
      machineId: machine.id,
      target: machine.id,
      why: 'the spec has no image any more',
    },
  ]);
}

function withoutMachine(input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const others = observed.machines.length;
  if (tenant.spec.adopt !== undefined && others > 1)
    return blocked({
      reason: 'AdoptionAmbiguous',
      message: `cannot adopt app "${appOf(tenant)}": it has ${others} machines and a tenant has one; destroy the others`,
    });
  const suspended = tenant.spec.state === 'Suspended';
  const wait = notVisibleYet(input, suspended ? UNNAMED_GRACE_MS : NAMED_GRACE_MS);
  if (wait !== undefined) return wait;
  if (suspended) return settled('Suspended', 'no machine is needed while suspended');
  const broken = bootedInVain(input);
  if (broken !== undefined) return broken;
  if (observed.image.state !== 'resolved')
    return settled('AwaitingImage', 'the machine is created once the image is found');
  const volume = chooseVolume(input);
  const config = desiredConfig(input, {
    digest: observed.image.digest,
    volumeId: volume?.id ?? VOLUME_TO_COME,
  });
  const recorded = tenant.status?.machine;
  return working('CreatingMachine', 'the machine is being created', [
    {
      kind: 'createMachine',
      app: appOf(tenant),
      name: machineName(tenant),
      region: volume?.region ?? tenant.spec.region,
      config: { ...config, metadata: { ...config.metadata, [METADATA.wake]: 'yes' } },
      target: machineName(tenant),
      why:
        recorded === undefined
          ? 'the tenant has no machine'
          : `machine ${recorded.id} does not exist any more`,
      intent: 'machine',
    },
  ]);
}

/**
 * A machine that was just asked for and does not show is there all the same, whatever the spec wants by now. Where none
 * is to be made, no second create would find the one that shows late: so that is waited for longer.
 */
function notVisibleYet(input: PlanInput, graceMs: number): PartPlan | undefined {
  if (graceLeftMs(input, 'machine', graceMs) === 0) return undefined;
  return waiting({
    reason: 'MachineNotVisibleYet',
    message: 'the machine was asked for and does not show yet',
    retryAfterMs: LOOK_INTERVAL_MS,
  });
}

function inTransition(input: PlanInput, machine: WireMachine): PartPlan {
  const forMs = input.now - (Date.parse(machine.updated_at ?? '') || input.now);
  const wedged = forMs > WEDGED_AFTER_MS;
  const previous = input.tenant.status?.conditions?.find(({ type }) => type === 'MachineReady');
  // The cause of a transition is known when it is begun, and kept until the machine has settled.
  const begun = previous?.status === 'False' ? BEGUN.get(previous.reason) : undefined;
  return waiting({
    reason: wedged ? 'MachineWedged' : (begun ?? 'MachineInTransition'),
    message: wedged
      ? `machine "${machine.id}" has been ${machine.state} for more than ten minutes; see it on Fly`
      : `machine "${machine.id}" is ${machine.state}`,
    retryAfterMs: wedged ? HOST_RECHECK_MS : TRANSITION_RECHECK_MS,
    machine: { app: appOf(input.tenant), machineId: machine.id, version: machine.instance_id },
  });
}

/** Why a machine is on its way to another state, by the reason that MachineReady gave when that was begun. */
const BEGUN: ReadonlyMap<string, string> = new Map([
  ['CreatingMachine', 'CreatingMachine'],
  ['MachineNotVisibleYet', 'CreatingMachine'],
  ['Restarting', 'Restarting'],
  ['Resuming', 'Resuming'],
  ['Suspending', 'Suspending'],
  ['Deploying', 'Deploying'],
  ['UpdatingMachine', 'UpdatingMachine'],
  ['StartingMachine', 'StartingMachine'],
]);

function update(options: {
  readonly input: PlanInput;
  readonly machine: WireMachine;
  readonly config: NonNullable<WireMachine['config']>;
  readonly changes: readonly string[];
}): PartPlan {
  const { input, machine, config, changes } = options;
  const { reason, wakes } = purpose(changes, input);
  const running = input.tenant.spec.state === 'Running';
  const launch = running && (machine.state === 'started' || machine.state === 'failed');
  const wake = running && (launch || wakes || needsStart(machine));
  return working(reason, `machine "${machine.id}" is being updated`, [
    {
      kind: 'updateMachine',
      app: appOf(input.tenant),
      machineId: machine.id,
      currentVersion: machine.instance_id,
      config: { ...config, metadata: { ...config.metadata, [METADATA.wake]: wake ? 'yes' : 'no' } },
      launch,
      changes,
      target: machine.id,
      why: `it differs from the spec in ${changes.join(', ')}`,
    },
  ]);
}

/** Why the config changes, and whether an idle machine is to be started afterwards for it. */
function purpose(changes: readonly string[], { tenant }: PlanInput): { reason: string; wakes: boolean } {
  const state = `metadata.${METADATA.state}`;
  if (changes.includes(state) && tenant.spec.state === 'Suspended')
    return { reason: 'Suspending', wakes: false };
  if (changes.includes(state)) return { reason: 'Resuming', wakes: true };
  if (changes.includes('image')) return { reason: 'Deploying', wakes: true };
  if (changes.includes(`metadata.${METADATA.restartedAt}`)) return { reason: 'Restarting', wakes: true };
  return { reason: 'UpdatingMachine', wakes: false };
}

function power(input: PlanInput, machine: WireMachine): PartPlan {
  const { tenant } = input;
  const step = { app: appOf(tenant), machineId: machine.id, target: machine.id };
  if (tenant.spec.state === 'Suspended') {
    if (machine.state !== 'started')
      return settled('Suspended', `machine "${machine.id}" is ${machine.state}`);
    const stop: DraftStep = {
      kind: 'stopMachine',
      ...step,
      why: 'the spec says Suspended, the machine runs',
    };
    return working('Suspending', `machine "${machine.id}" is being stopped`, [stop]);
  }
  if (machine.state === 'started')
    return {
      ...settled('Started', `machine "${machine.id}" is started`),
      ...(isUnproven(machine) && { recheckMs: recheckMs(machine, input.now) }),
    };
  if (!needsStart(machine))
    return settled('Idle', `machine "${machine.id}" is ${machine.state}; the next request starts it`);
  const broken = startedInVain(input, machine);
  if (broken !== undefined) return broken;
  const start: DraftStep = {
    kind: 'startMachine',
    ...step,
    why: `it was to be started and is ${machine.state}`,
    intent: BOOT_INTENT,
  };
  const reason = input.tenant.status?.conditions?.find(({ type }) => type === 'MachineReady')?.reason;
  return working(BEGUN.get(reason ?? '') ?? 'StartingMachine', `machine "${machine.id}" is being started`, [
    start,
  ]);
}

/** A health check has no result yet, or fails: Available depends on it, and no feed tells when it changes. */
function isUnproven(machine: WireMachine): boolean {
  return isUnchecked(machine) || healthChecks(machine).some((check) => check.status !== 'passing');
}

/** Whether it is to be checked and no check has a result yet: that says neither that it is well nor that it is not. */
export function isUnchecked(machine: WireMachine): boolean {
  const configured = machine.config?.services?.some((service) => (service.checks ?? []).length > 0) === true;
  return configured && healthChecks(machine).length === 0;
}

/** Results of its health checks, without those that Fly makes up for deployments of its own client (fly-api section 15). */
export function healthChecks({ checks = [] }: WireMachine): readonly WireMachineCheck[] {
  return checks.filter(({ name = '' }) => !name.startsWith('bg_deployments_compat'));
}

/** Often while the machine is young, then ever more rarely: an app that never passes is its owner's to mend. */
function recheckMs(machine: WireMachine, now: number): number {
  const ageMs = now - (Date.parse(machine.updated_at ?? '') || now);
  return Math.min(Math.max(ageMs / 2, CHECKS_RECHECK_MS.shortest), CHECKS_RECHECK_MS.longest);
}
