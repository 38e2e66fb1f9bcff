/**
 * What can be asked of an app's public addresses? An app of the Machines API has none until one is allocated, and
 * allocating has no idempotency key: list first, and again after a failure that is ambiguous.
 */
import { json, nothing, type Transport } from './call.ts';
import { addressSchema, listOf, wire } from './decode.ts';
import type { FlyNetwork } from './fly.ts';
import type { WireIpAssignment } from './wire.ts';

const addressesSchema = wire<{ ips: WireIpAssignment[] }>({ ips: listOf(addressSchema) });

export function createNetwork(transport: Transport): FlyNetwork {
  return {
    listAddresses: (app, signal) =>
      transport(
        {
          operation: 'App_IPAssignments_list',
          subject: ['list', 'addresses of app', app],
          path: ['apps', app, 'ip_assignments'],
          limit: { id: app },
          decode: (answer) => json(addressesSchema)(answer).ips,
          means: { 404: () => undefined },
        },
        signal,
      ),
    allocateAddress: (app, type, signal) =>
      transport(
        {
          operation: 'App_IPAssignments_create',
          subject: ['allocate', `${type} address of app`, app],
          method: 'POST',
          path: ['apps', app, 'ip_assignments'],
          body: { type },
          limit: { id: app },
          decode: json(addressSchema),
        },
        signal,
      ),
    releaseAddress: (app, ip, signal) =>
      transport(
        {
          operation: 'App_IPAssignments_delete',
          subject: ['release', 'address', ip],
          method: 'DELETE',
          path: ['apps', app, 'ip_assignments', ip],
          limit: { id: app },
          decode: nothing,
        },
        signal,
      ),
  };
}
