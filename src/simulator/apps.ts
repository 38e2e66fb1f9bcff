/**
 * Which apps are there? Create, read, list and delete. One namespace of names for all the world; a new app is
 * not visible at once, and a deleted one goes a while after the answer, with all that is in it.
 */
import { z } from 'zod';
import { accepted, created, ok, parseBody, type Answer, type Call } from './call.ts';
import { opaqueId } from './identifiers.ts';
import { newLagged } from './lag.ts';
import { changed, drawMs, plan, type Moment } from './moment.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import { drop, own, type AppRecord, type SecretsFace } from './state.ts';

const createBody = z.object({
  app_name: z.string().optional(),
  name: z.string().optional(),
  org_slug: z.string().min(1),
  network: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/i, 'must be letters, digits and dashes and start with a letter')
    .optional(),
});

/** The app of a call. `write`: what is being deleted takes no more changes. */
export function appOf(moment: Moment, call: Call, { write = false } = {}): AppRecord {
  const app = own(moment.state.apps, call.params.app_name ?? '');
  if (app === undefined || moment.now < app.visibleAt || (write && app.deletedAt !== null))
    throw notFound('app');
  if (app.foreign) throw new Refusal(403, 'permission_denied: you do not have access to this app');
  return app;
}

/** Puts an app into the world, whoever asks for it. */
export function makeApp(
  moment: Moment,
  request: { name: string; org: string; network?: string; foreign?: boolean; seenAtOnce?: boolean },
): AppRecord {
  const { state, now } = moment;
  const lagMs =
    request.seenAtOnce === true
      ? { get: 0, list: 0 }
      : { get: drawMs(moment, 'getAfterCreate'), list: drawMs(moment, 'list') };
  const secrets: SecretsFace = { version: 0, secrets: [] };
  const id = opaqueId(state);
  const app: AppRecord = {
    id,
    numericId: state.sequence,
    name: request.name,
    org: request.org,
    network: request.network ?? 'default',
    foreign: request.foreign ?? false,
    createdAt: now,
    visibleAt: now + lagMs.get,
    listedAt: now + Math.max(lagMs.get, lagMs.list),
    deletedAt: null,
    machines: {},
    volumes: {},
    addresses: [],
    certificates: [],
    secrets: newLagged(secrets, { now, lagMs: 0 }),
    agenda: [],
  };
  state.apps[app.name] = app;
  changed(moment, app);
  return app;
}

export function createApp(moment: Moment, call: Call): Answer {
  const body = parseBody(createBody, call);
  const name = body.name ?? body.app_name ?? '';
  if (!/^[a-z0-9][a-z0-9-]{0,61}$/.test(name)) {
    throw new Refusal(
      422,
      'Validation failed: Name must be under 63 characters and may only contain numbers, lowercase letters and dashes',
    );
  }
  if (own(moment.state.apps, name) !== undefined) {
    throw new Refusal(422, 'Validation failed: Name has already been taken', 'name_taken');
  }
  const { org_slug: org, network } = body;
  const app = makeApp(moment, { name, org, ...(network !== undefined && network !== '' && { network }) });
  return created({ id: app.id, created_at: app.createdAt });
}

function appView(app: AppRecord): Record<string, unknown> {
  const machines = Object.values(app.machines).filter(({ face }) => face.state !== 'destroyed');
  const volumes = Object.values(app.volumes).filter(({ face }) => face.state !== 'pending_destroy');
  return {
    id: app.id,
    internal_numeric_id: app.numericId,
    name: app.name,
    status: machines.length > 0 ? 'deployed' : 'pending',
    network: app.network,
    machine_count: machines.length,
    volume_count: volumes.length,
    organization: { name: app.org, slug: app.org },
  };
}

export function showApp(moment: Moment, call: Call): Answer {
  return ok(appView(appOf(moment, call)));
}

export function listApps(moment: Moment, call: Call): Answer {
  const org = call.query.get('org_slug');
  if (org === null || org === '') throw invalid('org_slug is required');
  const apps = Object.values(moment.state.apps).filter(
    (app) => app.org === org && !app.foreign && app.listedAt <= moment.now,
  );
  return ok({ total_apps: apps.length, apps: apps.map(appView) });
}

export function deleteApp(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  app.deletedAt = moment.now;
  app.agenda = [];
  for (const machine of Object.values(app.machines)) {
    machine.path = [];
    if (machine.face.state !== 'destroyed')
      machine.face = { ...machine.face, state: 'destroying', updatedAt: moment.now };
    moment.observer.machineChanged?.(machine.id);
  }
  plan(moment, app, 'appGone', app.name, drawMs(moment, 'appDestroy'));
  changed(moment, app);
  return accepted();
}

/** The end of a deletion: the app with all that was in it is gone, and its name is free. */
export function removeApp(moment: Moment, app: AppRecord): void {
  drop(moment.state.apps, app.name);
  drop(moment.state.logs, app.name);
  for (const id of Object.keys(app.machines)) moment.observer.machineChanged?.(id);
  changed(moment, app);
}
