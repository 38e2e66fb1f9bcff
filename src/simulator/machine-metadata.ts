/**
 * How does a machine's metadata change? Merged, without a new version and without a restart: the one part of
 * the config that can be written beside an update.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { noContent, ok, parseBody, type Answer, type Call } from './call.ts';
import { changeMachine, livingMachineOf, machineOf } from './machine-record.ts';
import type { Place } from './machine-transitions.ts';
import type { Moment } from './moment.ts';
import { Refusal } from './refusal.ts';

function placeOf(moment: Moment, call: Call): Place {
  const app = appOf(moment, call, { write: true });
  return { app, machine: livingMachineOf(moment, app, call.params.machine_id ?? '') };
}

/** Sets, and with null or an empty text removes, keys. */
function merge(moment: Moment, place: Place, changes: Readonly<Record<string, string | null>>): void {
  const { config } = place.machine.face;
  const merged = Object.entries({ ...config.metadata, ...changes }).filter(
    (entry): entry is [string, string] => entry[1] !== null && entry[1] !== '',
  );
  changeMachine(moment, place, { config: { ...config, metadata: Object.fromEntries(merged) } });
}

export function showMetadata(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  return ok(machineOf(moment, app, call.params.machine_id ?? '').face.config.metadata ?? {});
}

const mergeBody = z.object({
  metadata: z.record(z.string(), z.string().nullable()),
  machine_version: z.string().nullish(),
  updated_at: z.string().nullish(),
});

export function mergeMetadata(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  const body = parseBody(mergeBody, call, { keepNulls: true });
  const expected = body.machine_version ?? '';
  if (expected !== '' && expected !== place.machine.face.instanceId) {
    throw new Refusal(412, 'failed_precondition: machine version mismatch');
  }
  merge(moment, place, body.metadata);
  return noContent();
}

export function showMetadataKey(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const metadata = machineOf(moment, app, call.params.machine_id ?? '').face.config.metadata ?? {};
  const value = new Map(Object.entries(metadata)).get(call.params.key ?? '');
  if (value === undefined) throw new Refusal(404, 'not_found: metadata key not found');
  return ok({ value });
}

const keyBody = z.object({ value: z.string(), updated_at: z.string().optional() });

export function setMetadataKey(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  merge(moment, place, { [call.params.key ?? '']: parseBody(keyBody, call).value });
  return noContent();
}

export function deleteMetadataKey(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  merge(moment, place, { [call.params.key ?? '']: null });
  return noContent();
}
