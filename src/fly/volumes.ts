/**
 * What can be asked of Fly's volumes? Fly lists deleted volumes for another day; here they are already gone.
 */
import { z } from 'zod';
import { json, nothing, type Transport } from './call.ts';
import { listOf, volumeSchema, wire } from './decode.ts';
import type { FlyVolumes } from './fly.ts';
import type { WireVolume } from './wire.ts';

/** States in which a volume is deleted, or on its way there, although Fly still shows it. */
export const DELETED_VOLUME_STATES: ReadonlySet<string> = new Set([
  'scheduling_destroy',
  'fork_cleanup',
  'waiting_for_detach',
  'pending_destroy',
  'destroying',
  'destroyed',
]);

const extendedSchema = wire<{ volume: WireVolume; needs_restart?: boolean }>({
  volume: volumeSchema,
  needs_restart: z.boolean().optional(),
});

export function createVolumes(transport: Transport): FlyVolumes {
  return {
    list: (app, signal) =>
      transport(
        {
          operation: 'Volumes_list',
          subject: ['list', 'volumes of app', app],
          path: ['apps', app, 'volumes'],
          limit: { id: app },
          decode: (answer) => json(listOf(volumeSchema))(answer).filter(isLive),
          means: { 404: () => undefined },
        },
        signal,
      ),
    get: (app, volumeId, signal) =>
      transport(
        {
          operation: 'Volumes_get_by_id',
          subject: ['read', 'volume', volumeId],
          path: ['apps', app, 'volumes', volumeId],
          limit: { id: app },
          decode: (answer) => [json(volumeSchema)(answer)].find(isLive),
          means: { 404: () => undefined },
        },
        signal,
      ),
    create: (app, request, signal) =>
      transport(
        {
          operation: 'Volumes_create',
          subject: ['create', 'volume', request.name],
          method: 'POST',
          path: ['apps', app, 'volumes'],
          body: request,
          limit: { id: app },
          decode: json(volumeSchema),
        },
        signal,
      ),
    extend: (app, volumeId, sizeGb, signal) =>
      transport(
        {
          operation: 'Volumes_extend',
          subject: ['extend', 'volume', volumeId],
          method: 'PUT',
          path: ['apps', app, 'volumes', volumeId, 'extend'],
          body: { size_gb: sizeGb },
          limit: { id: app },
          decode(answer) {
            const { volume, needs_restart: needsRestart } = json(extendedSchema)(answer);
            return { volume, needsRestart: needsRestart ?? false };
          },
        },
        signal,
      ),
    delete: (app, volumeId, signal) =>
      transport(
        {
          operation: 'Volume_delete',
          subject: ['delete', 'volume', volumeId],
          method: 'DELETE',
          path: ['apps', app, 'volumes', volumeId],
          limit: { id: app },
          decode: nothing,
        },
        signal,
      ),
  };
}

function isLive(volume: WireVolume): boolean {
  return !DELETED_VOLUME_STATES.has(volume.state);
}
