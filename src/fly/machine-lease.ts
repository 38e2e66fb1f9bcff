/**
 * Who may change a machine? Fly's lease on it: whoever sends its nonce may, until it expires. Fly wraps the lease in
 * an envelope or shows it bare, and takes the ttl from the body or the query; both forms are spoken here.
 */
import { z } from 'zod';
import { json, nothing, type Transport } from './call.ts';
import { leaseSchema, wire } from './decode.ts';
import { FlyError } from './errors.ts';
import type { FlyMachines } from './fly.ts';
import { machinePath, nonceHeader } from './machine-target.ts';
import type { WireLease } from './wire.ts';

const answeredLeaseSchema: z.ZodType<WireLease> = z.union([
  leaseSchema,
  wire<{ data: WireLease }>({ data: leaseSchema }).transform(({ data }) => data),
]);

export function createMachineLease(
  transport: Transport,
): Pick<FlyMachines, 'lease' | 'getLease' | 'releaseLease'> {
  return {
    lease(target, { ttlMs, description }, signal) {
      const ttl = Math.ceil(ttlMs / 1_000);
      return transport(
        {
          operation: 'Machines_create_lease',
          subject: ['lease', 'machine', target.machineId],
          method: 'POST',
          path: machinePath(target, 'lease'),
          query: { ttl },
          headers: nonceHeader(target),
          body: { ttl, description },
          limit: { id: target.machineId },
          decode: json(answeredLeaseSchema),
        },
        signal,
      );
    },
    getLease: (target, signal) =>
      transport(
        {
          operation: 'Machines_show_lease',
          subject: ['read', 'lease of machine', target.machineId],
          path: machinePath(target, 'lease'),
          limit: { id: target.machineId },
          decode: json(answeredLeaseSchema),
          means: { 404: () => undefined },
        },
        signal,
      ),
    async releaseLease(target, signal) {
      try {
        await transport(
          {
            operation: 'Machines_release_lease',
            subject: ['release', 'lease of machine', target.machineId],
            method: 'DELETE',
            path: machinePath(target, 'lease'),
            headers: nonceHeader(target),
            limit: { id: target.machineId },
            decode: nothing,
            means: { 404: nothing },
          },
          signal,
        );
      } catch (error) {
        // It expired in the meantime, which Fly does not always say with a 404.
        if (error instanceof FlyError && /lease not found/i.test(error.message)) return;
        throw error;
      }
    },
  };
}
