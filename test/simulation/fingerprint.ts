/**
 * When are two moments of two histories the same? When everything that lasts is the same (store, Fly, vault, database)
 * and the daemon stands at the same call of a pass that began from the same state. Times do not count, only whether
 * what was asked for is so recent that it is still waited for; of names that Fly draws only which of them are equal.
 */
import { createHash } from 'node:crypto';
import type { Tenant } from '../../src/tenant/schema.ts';
import { NAMED_GRACE_MS, UNNAMED_GRACE_MS } from '../../src/reconcilers/tenant/settings.ts';
import { appName } from '../../src/tenant/names.ts';
import type { AppView } from '../invariants/holdings.ts';
import { leftElsewhere, type Stage } from './stage.ts';

/** Ids of machines, versions and volumes. */
const DRAWN = /\b(?:vol_[a-z0-9]+|[0-9a-f]{14}|[0-9A-Z]{26})\b/g;

/** Of all that outlives a daemon. */
export function lasting(stage: Stage): string {
  const { scene } = stage;
  const parts = scene.uids.map((uid) => [
    tenantPart(stage, scene.tenants.getByUid(uid)),
    appPart(scene.view(appName(uid))),
    vaultPart(stage, uid),
    leftElsewhere(scene, uid),
  ]);
  return digest(withoutDrawn(JSON.stringify([parts, scene.daemons.length])));
}

/** Of parts that say what a state is. */
export function digest(text: string): string {
  return createHash('sha1').update(text).digest('base64');
}

function withoutDrawn(text: string): string {
  const names = new Map<string, string>();
  return text.replace(DRAWN, (name) => {
    const known = names.get(name) ?? `#${names.size}`;
    names.set(name, known);
    return known;
  });
}

function tenantPart({ kernel }: Stage, tenant: Tenant | undefined): unknown {
  if (tenant === undefined) return 'gone';
  const { metadata, spec, status } = tenant;
  const {
    conditions = [],
    requested = {},
    failure,
    addresses,
    lastHandledReconcileAt: _,
    ...rest
  } = status ?? {};
  return [
    [metadata.generation, metadata.deletionTimestamp !== undefined, metadata.finalizers?.length ?? 0],
    spec,
    rest,
    addresses?.length,
    conditions.map(({ type, status: value, reason, observedGeneration }) => [
      type,
      value,
      reason,
      observedGeneration,
    ]),
    Object.entries(requested).map(([intent, at]) => [intent, ageOf(kernel.now() - Date.parse(at))]),
    failure && [failure.reason, failure.step, failure.terminal],
  ];
}

/** What planning makes of the age of an intent. */
function ageOf(ageMs: number): string {
  if (ageMs < NAMED_GRACE_MS) return 'new';
  return ageMs < UNNAMED_GRACE_MS ? 'recent' : 'old';
}

function appPart(app: AppView | undefined): unknown {
  if (app === undefined) return 'none';
  return [
    app.deleting,
    app.machines.map(({ id, name, state, instance_id: version, config }) => [
      id,
      name,
      state,
      version,
      config,
    ]),
    app.volumes.map(({ id, name, state, size_gb: sizeGb, attached_machine_id: by }) => [
      id,
      name,
      state,
      sizeGb,
      by,
    ]),
    app.addresses.map(({ type }) => type),
    app.certificates,
    app.secrets,
  ];
}

function vaultPart({ scene }: Stage, uid: string): unknown {
  const { applied, ...state } = scene.vault.describe(uid) ?? {};
  const revealed = scene.vault.reveal(uid);
  const known = revealed !== undefined && scene.databases.passwordOf(uid) === revealed.databasePassword;
  return [state, applied?.revision, applied?.version, known, scene.databases.describe(uid)];
}
