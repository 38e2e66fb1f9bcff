/**
 * When has a machine left its present state? Fly's wait call blocks until then, so a tenant need not be looked
 * at again and again. A wait only wakes the key; what is true then is for the pass to find out. Losing a wait
 * costs time, never a change: the key is also queued for a look at a known time.
 */
import { setMaxListeners } from 'node:events';
import { sleep, type Clock } from '../../clock.ts';
import { isNotFound } from '../../fly/errors.ts';
import type { Fly } from '../../fly/fly.ts';
import type { Wait } from './steps.ts';

/** Where a machine on its way arrives. Not Fly's `settled`: a machine that is about to be launched counts as that. */
const SETTLED_STATES = ['started', 'stopped', 'suspended', 'failed'];
/** Fly's longest. */
const WAIT_TIMEOUT_MS = 60_000;
/** Each open wait is one connection; beyond this many, tenants are looked at by the clock alone. */
const MOST_WAITS = 1_000;

/** A machine is visible within half a second of its creation; the burst of Fly's limit holds three looks. */
const VISIBILITY_LOOKS = 3;
const VISIBILITY_INTERVAL_MS = 250;

export interface MachineWaits {
  await(key: string, machine: NonNullable<Wait['machine']>): void;
  /** Ends all waits. */
  stop(): Promise<void>;
}

export function createMachineWaits(options: {
  readonly fly: Pick<Fly, 'machines'>;
  readonly clock: Clock;
  readonly wake: (key: string) => void;
}): MachineWaits {
  const open = new Map<string, Promise<void>>();
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);

  async function wait(key: string, machine: NonNullable<Wait['machine']>): Promise<void> {
    try {
      for (let look = 1; look <= VISIBILITY_LOOKS; look += 1) {
        const settled = await waitOnce(machine);
        if (settled === true) options.wake(key);
        if (settled !== undefined) return;
        await sleep(options.clock, VISIBILITY_INTERVAL_MS, stopping.signal);
      }
    } catch {
      // Whatever went wrong, the look at a known time comes all the same, and meets the same trouble in the open.
    } finally {
      open.delete(key);
    }
  }

  /** Undefined: the machine is not visible, as happens for a moment after it was made. */
  async function waitOnce(machine: NonNullable<Wait['machine']>): Promise<boolean | undefined> {
    try {
      return await options.fly.machines.wait(
        { app: machine.app, machineId: machine.machineId },
        { states: SETTLED_STATES, version: machine.version, timeoutMs: WAIT_TIMEOUT_MS },
        stopping.signal,
      );
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  return {
    await(key, machine) {
      if (stopping.signal.aborted || open.has(key) || open.size >= MOST_WAITS) return;
      open.set(key, wait(key, machine));
    },
    async stop() {
      stopping.abort();
      await Promise.all(open.values());
    },
  };
}
