/**
 * Is everything as it should be? Judged of a world at rest, and of one in which nobody is left; and where only a person
 * can go on, what a person would do.
 */
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import { appName } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { differences, liveMachines, type AppView } from '../invariants/holdings.ts';
import type { InvariantId } from '../invariants/invariant.ts';
import { isReady, isStalled } from '../invariants/status.ts';
import { SETTINGS } from './daemon.ts';
import { imageNamed, indexOf, isBroken, tenantName } from './people.ts';
import { FOR_GOOD } from './refusals.ts';
import type { Scene } from './scene.ts';
import { leftElsewhere, type Stage } from './stage.ts';

/** Nobody can help with a deletion: it is tried again by itself. */
export function needsHelp(tenant: Tenant): boolean {
  return (isStalled(tenant) || doesNotBoot(tenant)) && tenant.metadata.deletionTimestamp === undefined;
}

/** Its image is broken, and that is told. */
function doesNotBoot({ spec, status }: Tenant): boolean {
  const told = status?.conditions?.find(({ type }) => type === 'MachineReady');
  return isBroken(spec.image) && told?.reason === 'MachineDoesNotBoot';
}

/** Ready, and rightly so. */
export function rests(stage: Stage, tenant: Tenant): boolean {
  if (tenant.metadata.deletionTimestamp !== undefined || !isReady(tenant)) return false;
  return shortcomings(stage, tenant).length === 0;
}

/** What is not as it should be, on Fly and in the databases. */
function shortcomings({ scene }: Stage, tenant: Tenant): string[] {
  const { uid } = tenant.metadata;
  const app = scene.view(appOf(tenant));
  const revealed = scene.vault.reveal(uid);
  const password = revealed?.databasePassword ?? '';
  const wanted = { ...revealed?.values, DATABASE_URL: scene.databases.url(uid, password) };
  const set = new Map(
    scene.world.state.apps[appOf(tenant)]?.secrets.face.secrets.map(({ name, value }) => [name, value]),
  );
  const unset = Object.entries(wanted).filter(([name, value]) => set.get(name) !== value);
  return [
    ...differences(tenant, app, SETTINGS),
    ...unset.map(([name]) => `secret ${name} on Fly is not the one in the vault`),
    ...(scene.databases.passwordOf(uid) === password ? [] : ['its role has another password than the vault']),
  ];
}

/** Why the tenant is not at rest, for people. */
export function complaint(stage: Stage, tenant: Tenant): string {
  const { name, deletionTimestamp } = tenant.metadata;
  const ready = tenant.status?.conditions?.find(({ type }) => type === 'Ready');
  const differs = shortcomings(stage, tenant);
  const wish = deletionTimestamp === undefined ? 'is not as its spec wants it' : 'is not gone';
  return [`tenant ${name} ${wish}`, ready?.message ?? 'it has no status', ...differs].join(': ');
}

/** Which promise is broken by a tenant that does not come to rest. */
export function brokenBy(stage: Stage, tenant: Tenant): InvariantId {
  const { generation, deletionTimestamp } = tenant.metadata;
  if (deletionTimestamp !== undefined) return 'E5';
  if ((tenant.status?.observedGeneration ?? 0) < generation) return 'S14';
  return isReady(tenant) && differences(tenant, stage.scene.view(appOf(tenant)), SETTINGS).length > 0
    ? 'D1'
    : 'E1';
}

/** What only a person can mend. Anything else that stalls a tenant is a violation of E2. */
export function help({ scene, people, verdicts, kernel, helpedMs }: Stage, tenant: Tenant): void {
  const { name } = tenant.metadata;
  const stalled = tenant.status?.conditions?.find(({ type }) => type === 'Stalled');
  const reason = stalled?.reason ?? '';
  const index = indexOf(tenant);
  if (doesNotBoot(tenant)) {
    people.act({ atMs: 0, do: 'edit', tenant: index, spec: { image: imageNamed('hello') } });
    return;
  }
  if (reason === 'VolumeLost') {
    const lost = /cannot find volume "([^"]+)"/.exec(stalled?.message ?? '')?.[1] ?? '';
    people.act({ atMs: 0, do: 'edit', tenant: index, spec: { acknowledgedVolumeLoss: lost } });
    return;
  }
  const app = appOf(tenant);
  // Of this tenant, and since it was last helped: that has undone what was before.
  const refused = scene.wire.hits.some(
    (hit) =>
      [undefined, SETTINGS.sharedRegistryApp, app].includes(hit.app) &&
      hit.atMs >= (helpedMs.get(name) ?? 0) &&
      (FOR_GOOD.has(hit.fate) || (hit.site === 'fly.Apps_show' && hit.fate.startsWith('403'))),
  );
  const missing = reason === 'ImageNotFound';
  helpedMs.set(name, kernel.now());
  verdicts.check('E2', refused || missing, () => `tenant ${name} is stalled: ${stalled?.message ?? ''}`);
  people.act({ atMs: 0, do: 'retry', tenant: index });
}

/** Nobody has put the machine to sleep: so it runs, and with the newest secrets. */
export function asleep({ history, scene }: Stage, tenant: Tenant, app: AppView | undefined): string[] {
  const { metadata, spec } = tenant;
  const disturbed = history.acts.some(
    (act) =>
      'tenant' in act &&
      tenantName(act.tenant) === metadata.name &&
      ['idle-machine', 'crash-machine', 'migrate-machine', 'change-secret'].includes(act.do),
  );
  if (disturbed || spec.state === 'Suspended') return [];
  // What comes late sets the same values once more, under a newer version.
  const repeated = scene.wire.hits.some(
    (hit) => hit.site === 'fly.Secrets_update' && hit.fate === 'effect-late' && hit.app === appOf(tenant),
  );
  return liveMachines(app).flatMap(({ id, state, secrets_version: version }) => [
    ...(state === 'started' ? [] : [`machine ${id} is ${state}`]),
    ...(repeated || version === app?.secrets.version ? [] : [`machine ${id} runs with old secrets`]),
  ]);
}

/** E5: of those that are gone nothing is left, on Fly or elsewhere. */
export function checkNothingLeft({ scene, verdicts, safety }: Stage): void {
  const kept = new Set([SETTINGS.sharedRegistryApp, ...scene.orphans]);
  const apps = Object.keys(scene.world.state.apps).filter(
    (name) => !kept.has(name) && !safety.mayBeLeft(name),
  );
  verdicts.check('E5', apps.length === 0, () => `left on Fly: ${apps.join(', ')}`);
  for (const uid of scene.uids) {
    if (scene.orphans.has(appName(uid))) continue;
    const left = leftElsewhere(scene, uid);
    verdicts.check('E5', left.length === 0, () => `left of a tenant that is gone: ${left.join(', ')}`);
  }
}

/** The first error that nobody has foreseen. */
export function bugs({ log }: Scene): string {
  return log.find((line) => line.includes('"reason":"Bug"'))?.slice(0, 500) ?? 'a bug that was not logged';
}
