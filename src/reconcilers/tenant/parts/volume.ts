/**
 * The one data volume. Fly makes a second volume without a word, and an empty volume mounted over live data is
 * the worst thing that can happen to a tenant (controllers.md section 3). So: asking is journaled, a tenant that
 * ever had a volume never gets another one unless its spec names the lost one, and only volumes that were never
 * mounted are ever destroyed as surplus.
 */
import type { WireMachine, WireVolume } from '../../../fly/wire.ts';
import { findCondition } from '../../../tenant/conditions.ts';
import { VOLUME_NAME } from '../../../tenant/names.ts';
import type { Tenant } from '../../../tenant/schema.ts';
import { appOf, graceLeftMs, LOOK_INTERVAL_MS, type PlanInput } from '../input.ts';
import { UNNAMED_GRACE_MS } from '../settings.ts';
import { blocked, settled, waiting, working, type DraftStep, type PartPlan } from '../steps.ts';
import { findMachine } from './machine-identity.ts';

/** Journal key of growing a volume: the machine must be restarted unless Fly said that it need not. */
export const EXTEND_INTENT = 'volumeExtension';

/** A volume that Fly has moved shows within seconds under its new id; one that does not by then is lost. */
const MOVED_GRACE_MS = 60_000;

/** Id of the volume that the machine was made with, or that Fly has given it since: migrations change ids. */
export function mountedVolumeId(machine: WireMachine | undefined): string | undefined {
  return machine?.config?.mounts?.[0]?.volume;
}

/** Whether the tenant's owner has accepted that the volume is lost. */
export function isAcknowledged(tenant: Tenant, volumeId: string | undefined): boolean {
  return volumeId !== undefined && volumeId === tenant.spec.acknowledgedVolumeLoss;
}

/**
 * The tenant's volume among those of its app: the one that its machine mounts, which a machine that was read by
 * its id knows before any list does; else the one that is bound to it, the recorded one, the oldest of our name.
 * Undefined when the mounted one does not show: no other volume can stand in for it. Fly never shrinks a volume: one
 * that is smaller than recorded was read before it grew, and growing it again could cost its machine a restart.
 */
export function chooseVolume(input: PlanInput): WireVolume | undefined {
  const volume = shownVolume(input);
  const recorded = input.tenant.status?.volume;
  if (volume === undefined || recorded?.id !== volume.id) return volume;
  return { ...volume, size_gb: Math.max(volume.size_gb, recorded.sizeGb) };
}

function shownVolume({ tenant, observed }: PlanInput): WireVolume | undefined {
  const machine = findMachine(tenant, observed.machines);
  const mounted = mountedVolumeId(machine);
  const shown = observed.volumes.find((volume) => volume.id === mounted);
  if (mounted !== undefined && (shown !== undefined || !isAcknowledged(tenant, mounted))) return shown;
  const recorded = tenant.status?.volume?.id;
  const free = recorded === undefined || isAcknowledged(tenant, recorded);
  const named = observed.volumes
    .filter((volume) => volume.name === VOLUME_NAME || tenant.spec.adopt !== undefined)
    .sort((a, b) => ((a.created_at ?? '') + a.id < (b.created_at ?? '') + b.id ? -1 : 1));
  return (
    (machine && observed.volumes.find((volume) => volume.attached_machine_id === machine.id)) ??
    observed.volumes.find((volume) => volume.id === recorded) ??
    (free ? named[0] : undefined)
  );
}

/** Sets VolumeReady. Problem: VolumeLost. */
export function planVolume(input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const chosen = chooseVolume(input);
  if (chosen === undefined) return planMissing(input);
  const app = appOf(tenant);
  const steps: DraftStep[] = surplus(input, chosen).map((volume) => ({
    kind: 'destroyVolume',
    app,
    volumeId: volume.id,
    target: volume.id,
    why: `the tenant's volume is ${chosen.id}; this one was never mounted and is left over from a lost answer`,
  }));
  if (chosen.size_gb < tenant.spec.volumeGb)
    steps.unshift({
      kind: 'extendVolume',
      app,
      volumeId: chosen.id,
      sizeGb: tenant.spec.volumeGb,
      target: chosen.id,
      why: `the volume has ${chosen.size_gb} GB, spec.volumeGb is ${tenant.spec.volumeGb}`,
      // With no machine there is nothing to restart.
      ...(observed.machines.length > 0 && { intent: EXTEND_INTENT }),
    });
  if (steps.length > 0)
    return working('UpdatingVolume', `volume "${chosen.id}" is being brought in line`, steps);
  return settled('Created', `volume "${chosen.id}" has ${chosen.size_gb} GB`);
}

function planMissing(input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const recorded = tenant.status?.volume?.id;
  const lost = mountedVolumeId(findMachine(tenant, observed.machines)) ?? recorded;
  if (graceLeftMs(input, 'volume', UNNAMED_GRACE_MS) > 0)
    return waiting({
      reason: 'VolumeNotVisibleYet',
      message: 'the volume was asked for and does not show yet',
      retryAfterMs: LOOK_INTERVAL_MS,
    });
  const acknowledged = isAcknowledged(tenant, lost);
  const awaitedForMs = lost === recorded ? sinceMissingMs(input) : 0;
  if (lost !== undefined && !acknowledged && awaitedForMs < MOVED_GRACE_MS)
    return waiting({
      reason: 'VolumeNotVisibleYet',
      message: `volume "${lost}" does not show yet: Fly may have moved it`,
      retryAfterMs: LOOK_INTERVAL_MS,
    });
  if (lost !== undefined && !acknowledged)
    return blocked({
      reason: 'VolumeLost',
      message:
        `cannot find volume "${lost}": the tenant's data is not where it was; restore the volume on Fly, or ` +
        `set spec.acknowledgedVolumeLoss to "${lost}" to go on with an empty one`,
    });
  const app = appOf(tenant);
  return working('CreatingVolume', `a volume of ${tenant.spec.volumeGb} GB is being created`, [
    {
      kind: 'createVolume',
      app,
      name: VOLUME_NAME,
      region: tenant.spec.region,
      sizeGb: tenant.spec.volumeGb,
      memoryMb: tenant.spec.memoryMb,
      target: app,
      why: lost === undefined ? 'the tenant has no volume' : `the loss of "${lost}" is acknowledged`,
      intent: 'volume',
    },
  ]);
}

/** For how long a volume that was moved has not shown; Infinity: it is none that was moved. */
function sinceMissingMs({ tenant, now }: PlanInput): number {
  const condition = findCondition(tenant.status?.conditions, 'VolumeReady');
  if (condition?.reason !== 'VolumeNotVisibleYet') return Infinity;
  // Whichever way: a clock that was set back would have it last for hours.
  return Math.abs(now - Date.parse(condition.lastTransitionTime));
}

/** Left over from lost answers: ours by name, free, and never mounted (Fly reports no file system yet). */
function surplus({ tenant, observed }: PlanInput, chosen: WireVolume): WireVolume[] {
  if (tenant.spec.adopt !== undefined || tenant.status?.volume?.id !== chosen.id) return [];
  return observed.volumes.filter(
    (volume) =>
      volume.id !== chosen.id &&
      volume.name === VOLUME_NAME &&
      !volume.attached_machine_id &&
      !volume.attached_alloc_id &&
      !volume.fstype &&
      !volume.blocks,
  );
}
