/**
 * What can somebody do behind everybody's back? Destroy, crash and migrate machines, lose volumes, hold or
 * activate certificates, take capacity away, make the proxy act, push an image. Each is one route of the
 * control surface; none is on Fly's own API.
 */
import { z } from 'zod';
import { makeApp } from './apps.ts';
import { autostopNow, request } from './autostop.ts';
import { accepted, ok, parseBody, type Answer, type Call } from './call.ts';
import { writeLog } from './logs.ts';
import { destroy } from './machine-actions.ts';
import { exitProcess, migrateMachine } from './machine-exit.ts';
import { changeMachine } from './machine-record.ts';
import type { Place } from './machine-transitions.ts';
import { changed, type Moment } from './moment.ts';
import { DEFAULT_ORG } from './platform.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import { expandRegions, isHost } from './regions.ts';
import { smallManifest, storeManifest } from './registry.ts';
import { own, type AppRecord, type CertificateRecord, type RegionKnobs } from './state.ts';
import { deleteSoftly, isDeleted } from './volume-record.ts';

function appNamed(moment: Moment, name: string): AppRecord {
  const app = own(moment.state.apps, name);
  if (app === undefined) throw notFound('app');
  return app;
}

function placeOf(moment: Moment, call: Call): Place {
  const id = call.params.id ?? '';
  for (const app of Object.values(moment.state.apps)) {
    const machine = own(app.machines, id);
    if (machine !== undefined && machine.face.state !== 'destroyed') return { app, machine };
  }
  throw notFound('machine');
}

const appBody = z.strictObject({
  name: z.string().min(1),
  org: z.string().default(DEFAULT_ORG),
  network: z.string().optional(),
  /** True: it belongs to an organisation that no token can see. */
  foreign: z.boolean().default(false),
});

/** An app that was there before anybody looked. */
export function plantApp(moment: Moment, call: Call): Answer {
  const { network, ...body } = parseBody(appBody, call);
  const existing = own(moment.state.apps, body.name);
  if (existing !== undefined) return ok({ id: existing.id });
  return ok({
    id: makeApp(moment, { ...body, ...(network !== undefined && { network }), seenAtOnce: true }).id,
  });
}

const proxyBody = z.strictObject({ app: z.string(), action: z.enum(['stop', 'request']) });

/** `stop`: the proxy puts one machine to sleep now. `request`: somebody asks the app for something. */
export function actAsProxy(moment: Moment, call: Call): Answer {
  const body = parseBody(proxyBody, call);
  const app = appNamed(moment, body.app);
  if (body.action === 'request') return ok(request(moment, app));
  return ok(autostopNow(moment, app) ?? { machine: null, how: null });
}

export function destroyBehind(moment: Moment, call: Call): Answer {
  destroy(moment, placeOf(moment, call), 'user');
  return accepted();
}

const crashBody = z.strictObject({
  exit_code: z.int().min(0).max(255).default(1),
  oom_killed: z.boolean().default(false),
});

export function crashMachine(moment: Moment, call: Call): Answer {
  const body = parseBody(crashBody, call);
  exitProcess(moment, placeOf(moment, call), { code: body.exit_code, oomKilled: body.oom_killed });
  return accepted();
}

export function migrate(moment: Moment, call: Call): Answer {
  migrateMachine(moment, placeOf(moment, call));
  return accepted();
}

const checksBody = z.strictObject({ status: z.enum(['passing', 'warning', 'critical']).nullable() });

/** Forces the health checks to a status; null lets them pass by themselves again. */
export function forceChecks(moment: Moment, call: Call): Answer {
  const place = placeOf(moment, call);
  const { status } = parseBody(checksBody, call, { keepNulls: true });
  const { checksForced: _, ...face } = place.machine.face;
  place.machine.face = face;
  changeMachine(moment, place, status === null ? {} : { checksForced: status });
  return accepted();
}

/** Deletes the volume whether or not a machine is bound to it. */
export function destroyVolume(moment: Moment, call: Call): Answer {
  for (const app of Object.values(moment.state.apps)) {
    const volume = own(app.volumes, call.params.id ?? '');
    if (volume === undefined || isDeleted(volume)) continue;
    deleteSoftly(moment, app, volume);
    return accepted();
  }
  throw notFound('volume');
}

function certificateOf(moment: Moment, hostname: string): { app: AppRecord; certificate: CertificateRecord } {
  for (const app of Object.values(moment.state.apps)) {
    const certificate = app.certificates.find((candidate) => candidate.hostname === hostname);
    if (certificate !== undefined) return { app, certificate };
  }
  throw notFound('certificate');
}

/** `activate`: issued now. `hold`: not issued before it is activated. `fail`: held, with a validation error. */
export function steerCertificate(moment: Moment, call: Call): Answer {
  const { app, certificate } = certificateOf(moment, call.params.hostname ?? '');
  const { action } = call.params;
  if (action !== 'activate' && action !== 'hold' && action !== 'fail') throw new Refusal(404, 'not found');
  certificate.updatedAt = moment.now;
  certificate.held = action !== 'activate';
  certificate.issuedAt = action === 'activate' ? moment.now : null;
  certificate.failure =
    action === 'fail'
      ? { code: 'DNS_RECORD_MISSING', message: 'no DNS record points to the app', at: moment.now }
      : null;
  changed(moment, app);
  return accepted();
}

const regionBody = z.strictObject({
  capacity: z.enum(['ok', 'none', 'quota']).optional(),
  unlisted: z.boolean().optional(),
});

export function setRegion(moment: Moment, call: Call): Answer {
  const [code] = expandRegions(call.params.region ?? '');
  if (code === undefined || code !== call.params.region) throw invalid('one region is expected');
  const body = parseBody(regionBody, call);
  const { capacity: _, ...before } = own(moment.state.regions, code) ?? {};
  const knobs: RegionKnobs = {
    ...before,
    ...(body.capacity !== undefined && body.capacity !== 'ok' && { capacity: body.capacity }),
    ...(body.unlisted !== undefined && { unlisted: body.unlisted }),
  };
  moment.state.regions[code] = knobs;
  moment.observer.recordChanged?.('regions', code);
  return ok(knobs);
}

const hostBody = z.strictObject({
  full: z.boolean().optional(),
  status: z.enum(['ok', 'unknown', 'unreachable']).optional(),
  extend_needs_restart: z.boolean().optional(),
});

export function setHost(moment: Moment, call: Call): Answer {
  const host = call.params.host ?? '';
  if (!isHost(host)) throw new Refusal(404, 'not_found: host not found');
  const body = parseBody(hostBody, call);
  const { status: _, ...before } = own(moment.state.hosts, host) ?? {};
  const knobs = {
    ...before,
    ...(body.full !== undefined && { full: body.full }),
    ...(body.extend_needs_restart !== undefined && { extendNeedsRestart: body.extend_needs_restart }),
    ...(body.status !== undefined && body.status !== 'ok' && { status: body.status }),
  };
  moment.state.hosts[host] = knobs;
  moment.observer.recordChanged?.('hosts', host);
  return ok(knobs);
}

const imageBody = z.strictObject({
  repository: z.string().min(1),
  tag: z.string().min(1),
  content: z.string().optional(),
  boot: z.enum(['ok', 'failed', 'destroyed']).default('ok'),
});

/** Pushes a small image; the same content gives the same digest, none gives a new one every time. `boot`: how its machines do. */
export function seedImage(moment: Moment, call: Call): Answer {
  const { repository, tag, content, boot } = parseBody(imageBody, call);
  moment.state.sequence += 1;
  const text = smallManifest(content ?? `${repository}:${tag} ${moment.state.sequence}`);
  return ok({ digest: storeManifest(moment, { repository, tag, text, ...(boot !== 'ok' && { boot }) }) });
}

const logBody = z.strictObject({
  app: z.string(),
  message: z.string(),
  level: z.string().default('info'),
  machine: z.string().optional(),
});

/** An app says something. */
export function addLog(moment: Moment, call: Call): Answer {
  const body = parseBody(logBody, call);
  const app = appNamed(moment, body.app);
  const machine = body.machine === undefined ? undefined : own(app.machines, body.machine);
  writeLog(
    moment,
    { app, ...(machine !== undefined && { machine }) },
    { message: body.message, level: body.level, provider: 'app' },
  );
  return accepted();
}
