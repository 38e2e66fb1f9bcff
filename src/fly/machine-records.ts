/** What is written down about a machine? Its metadata, which change without a new version, and its events. */
import { json, nothing, type Transport } from './call.ts';
import { eventSchema, listOf, textMapSchema } from './decode.ts';
import type { FlyMachines } from './fly.ts';
import { machinePath, nonceHeader } from './machine-target.ts';

/** Fly's maximum. */
const MOST_EVENTS = 50;

export function createMachineRecords(
  transport: Transport,
): Pick<FlyMachines, 'getMetadata' | 'setMetadata' | 'events'> {
  return {
    getMetadata: (target, signal) =>
      transport(
        {
          operation: 'Machines_show_metadata',
          subject: ['read', 'metadata of machine', target.machineId],
          path: machinePath(target, 'metadata'),
          limit: { id: target.machineId },
          decode: json(textMapSchema.nullable().transform((metadata) => metadata ?? {})),
        },
        signal,
      ),
    setMetadata: (target, { metadata, machineVersion }, signal) =>
      transport(
        {
          operation: 'Machines_update_metadata',
          subject: ['set', 'metadata of machine', target.machineId],
          method: 'PATCH',
          path: machinePath(target, 'metadata'),
          headers: nonceHeader(target),
          body: { metadata, ...(machineVersion !== undefined && { machine_version: machineVersion }) },
          limit: { id: target.machineId },
          decode: nothing,
        },
        signal,
      ),
    events: (target, { limit }, signal) =>
      transport(
        {
          operation: 'Machines_list_events',
          subject: ['list', 'events of machine', target.machineId],
          path: machinePath(target, 'events'),
          query: { limit: Math.min(limit, MOST_EVENTS) },
          limit: { id: target.machineId },
          decode: json(listOf(eventSchema)),
        },
        signal,
      ),
  };
}
