/**
 * Has the machine booted, and when is one tried again that does not? Its owner has to mend the image, so it is not tried
 * at once; and Fly may be to blame, so it is tried for as long as the spec wants it.
 */
import type { WireMachine, WireMachineEvent } from '../../../fly/wire.ts';
import { graceLeftMs, type PlanInput } from '../input.ts';
import { waiting, type PartPlan } from '../steps.ts';
import { METADATA } from './machine-identity.ts';

/** Journaled when a machine is started. Fly's own times would not do: its clock is not ours. */
export const BOOT_INTENT = 'boot';
/** So long after one attempt the next one is made. */
const RETRY_MS = 60_000;
/** One that only does not show is found sooner. */
const RECHECK_MS = 5_000;
/** What a machine that never ran was last seen as. */
const BOOTING = new Set(['created', 'starting', 'launch_failed', 'failed']);

/**
 * The wait for the next attempt, when the machine that was made last for this very spec has gone without having run: Fly
 * destroys what does not boot.
 */
export function bootedInVain(input: PlanInput): PartPlan | undefined {
  const { metadata, status } = input.tenant;
  const previous = status?.conditions?.find(({ type }) => type === 'MachineReady');
  const edited = previous?.observedGeneration !== metadata.generation;
  if (status?.machine === undefined || edited || !BOOTING.has(status.machine.state)) return undefined;
  return untilRetry(status.machine.id, graceLeftMs(input, 'machine', RETRY_MS));
}

/** The wait for the next attempt, when the machine has failed since it was started. */
export function startedInVain(input: PlanInput, machine: WireMachine): PartPlan | undefined {
  if (machine.state !== 'failed') return undefined;
  return untilRetry(machine.id, graceLeftMs(input, BOOT_INTENT, RETRY_MS));
}

function untilRetry(machineId: string, leftMs: number): PartPlan | undefined {
  if (leftMs === 0) return undefined;
  return waiting({
    reason: 'MachineDoesNotBoot',
    message: `machine "${machineId}" does not boot, and is tried again once a minute: see its logs, or deploy another image`,
    retryAfterMs: Math.min(leftMs, RECHECK_MS),
  });
}

/**
 * Whether the machine was to be started and never was. A machine that did start and rests now was stopped by
 * Fly's proxy or ended by itself: starting it again would wake every idle tenant.
 */
export function needsStart(machine: WireMachine): boolean {
  if (machine.config?.metadata?.[METADATA.wake] !== 'yes') return false;
  return !startedSinceUpdate(machine.events ?? []);
}

/**
 * Events come newest first; a start before the latest update speaks of an older version. A launch makes the first
 * version, and is also what a migration by Fly looks like: it counts only where nothing else is told.
 */
function startedSinceUpdate(events: readonly WireMachineEvent[]): boolean {
  const update = events.findIndex(({ type }) => type === 'update');
  const since = update === -1 ? events : events.slice(0, update);
  if (since.some(({ type, status }) => type === 'start' && status !== 'starting')) return true;
  // Events older than the newest fifty are dropped: where neither is left, it was long ago.
  return update === -1 && !events.some(({ type }) => type === 'launch');
}
