/**
 * Is a machine where it should be? Fly answers this question when it becomes true, or after a minute at most.
 */
import { z } from 'zod';
import { json, type Transport } from './call.ts';
import { wire } from './decode.ts';
import { FlyError } from './errors.ts';
import type { FlyMachines } from './fly.ts';
import { machinePath } from './machine-target.ts';

/** Fly takes whole seconds in this range. */
const WAIT_SECONDS = { least: 1, most: 60 };

/** Fly says "not yet" by itself when the time is over; this much later it is taken for silent. */
const SLACK_MS = 10_000;

const waitedSchema = wire<{ ok?: boolean }>({ ok: z.boolean().optional() });

export function createMachineWait(transport: Transport): Pick<FlyMachines, 'wait'> {
  return {
    async wait(target, { states, version, timeoutMs }, signal) {
      const seconds = Math.min(Math.max(Math.ceil(timeoutMs / 1_000), WAIT_SECONDS.least), WAIT_SECONDS.most);
      try {
        return await transport(
          {
            operation: 'Machines_wait',
            subject: ['wait for', 'machine', target.machineId],
            longPoll: true,
            path: machinePath(target, 'wait'),
            // The version goes by its old name as well: without it waiting for `stopped` was refused for years.
            query: { state: states.join(','), version, instance_id: version, timeout: seconds },
            limit: { id: target.machineId },
            timeoutMs: seconds * 1_000 + SLACK_MS,
            decode: (answer) => json(waitedSchema)(answer).ok !== false,
            means: { 408: () => false, ...(states.includes('destroyed') && { 404: () => true }) },
          },
          signal,
        );
      } catch (error) {
        // "currently replaced": the version waited for will never get there.
        if (error instanceof FlyError && error.reason === 'MachineVersionChanged') return false;
        throw error;
      }
    },
  };
}
