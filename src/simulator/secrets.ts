/**
 * Which secrets does an app have? Names and digests; a value goes in and never comes out. Every write makes one
 * new version, which readers and machines see a little later unless they ask for it by number.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { appOf } from './apps.ts';
import { created, ok, parseBody, type Answer, type Call } from './call.ts';
import { listedFace, replaceFace } from './lag.ts';
import { changed, drawMs, timestamp, type Moment } from './moment.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import type { AppRecord, SecretRecord, SecretsFace } from './state.ts';

function secretView(secret: SecretRecord): Record<string, unknown> {
  const { name, digest, createdAt, updatedAt } = secret;
  return { name, digest, created_at: timestamp(createdAt), updated_at: timestamp(updatedAt) };
}

/** Salted with the app, so that equal values of two apps cannot be told to be equal. */
function digestOf(app: AppRecord, name: string, value: string): string {
  return createHash('sha256').update(`${app.id}\0${name}\0${value}`).digest('hex').slice(0, 16);
}

/** Sets and (with null) unsets in one step; unsetting what is not there changes nothing but the version. */
function write(moment: Moment, app: AppRecord, values: ReadonlyMap<string, string | null>): SecretsFace {
  const before = new Map(app.secrets.face.secrets.map((secret) => [secret.name, secret]));
  for (const [name, value] of values) {
    const createdAt = before.get(name)?.createdAt ?? moment.now;
    if (value === null) before.delete(name);
    else
      before.set(name, { name, value, digest: digestOf(app, name, value), createdAt, updatedAt: moment.now });
  }
  const secrets = [...before.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const face = { version: app.secrets.face.version + 1, secrets };
  replaceFace(app.secrets, face, { now: moment.now, lagMs: drawMs(moment, 'list') });
  changed(moment, app);
  return face;
}

/** What a reader sees who asks for at least `min_version`. */
function readable(moment: Moment, app: AppRecord, call: Call): SecretsFace {
  const wanted = Number(call.query.get('min_version') ?? call.query.get('version') ?? 0);
  if (!Number.isSafeInteger(wanted) || wanted < 0) throw invalid('min_version must be a number');
  const seen = listedFace(app.secrets, moment.now) ?? app.secrets.face;
  if (seen.version >= wanted) return seen;
  if (app.secrets.face.version >= wanted) return app.secrets.face;
  throw new Refusal(408, `deadline_exceeded: secrets version ${wanted} is not known yet`);
}

export function listSecrets(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  return ok({ secrets: readable(moment, app, call).secrets.map(secretView) });
}

const updateBody = z.object({ values: z.record(z.string().min(1), z.string().nullable()) });

export function updateSecrets(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const { values } = parseBody(updateBody, call, { keepNulls: true });
  const { version, secrets } = write(moment, app, new Map(Object.entries(values)));
  // The real answer carries the version twice, once under the older spelling.
  return ok({ secrets: secrets.map(secretView), version, Version: version });
}

export function showSecret(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const secret = readable(moment, app, call).secrets.find(({ name }) => name === call.params.secret_name);
  if (secret === undefined) throw notFound('secret');
  return ok(secretView(secret));
}

const valueBody = z.object({ value: z.string() });

export function createSecret(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const name = call.params.secret_name ?? '';
  const { version, secrets } = write(moment, app, new Map([[name, parseBody(valueBody, call).value]]));
  const secret = secrets.find((candidate) => candidate.name === name);
  if (secret === undefined) throw notFound('secret');
  return created({ ...secretView(secret), version, Version: version });
}

export function deleteSecret(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const { version } = write(moment, app, new Map([[call.params.secret_name ?? '', null]]));
  return ok({ version, Version: version });
}
