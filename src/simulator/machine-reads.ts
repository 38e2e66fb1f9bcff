/**
 * What can be read of an app's machines? The list (which trails behind), one machine, its events and its
 * versions.
 */
import { appOf } from './apps.ts';
import { flag, ok, words, type Answer, type Call } from './call.ts';
import { listedFace } from './lag.ts';
import { machineOf } from './machine-record.ts';
import { machineView } from './machine-view.ts';
import type { Moment } from './moment.ts';
import { invalid } from './refusal.ts';
import type { MachineFace } from './state.ts';

/** Fly's default and most for `limit`. */
const EVENTS = { usual: 20, most: 50 };

function matchesMetadata(call: Call, face: MachineFace): boolean {
  for (const [name, value] of call.query) {
    if (name.startsWith('metadata.') && face.config.metadata?.[name.slice('metadata.'.length)] !== value)
      return false;
  }
  return true;
}

export function listMachines(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const states = words(call, 'state');
  const region = call.query.get('region') ?? '';
  const options = { summary: flag(call, 'summary'), withLease: flag(call, 'include_leases') };
  const withDestroyed = flag(call, 'include_deleted');
  const views = Object.values(app.machines).flatMap((machine) => {
    const face = listedFace(machine, moment.now);
    if (face === null || (face.state === 'destroyed' && !withDestroyed)) return [];
    if (region !== '' && machine.region !== region) return [];
    if (states.length > 0 && !states.includes(face.state)) return [];
    return matchesMetadata(call, face) ? [machineView(moment, machine, { ...options, face })] : [];
  });
  return ok(views);
}

export function showMachine(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const machine = machineOf(moment, app, call.params.machine_id ?? '');
  return ok(machineView(moment, machine, { withLease: flag(call, 'include_leases') }));
}

export function listEvents(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const machine = machineOf(moment, app, call.params.machine_id ?? '');
  const limit = Number(call.query.get('limit') ?? EVENTS.usual);
  if (!Number.isSafeInteger(limit) || limit < 1) throw invalid('limit must be a positive number');
  return ok(machine.face.events.slice(0, Math.min(limit, EVENTS.most)));
}

export function listVersions(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const machine = machineOf(moment, app, call.params.machine_id ?? '');
  return ok(machine.versions.map(({ version, config }) => ({ version, user_config: config })));
}
