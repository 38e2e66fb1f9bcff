/**
 * What must be true whatever happened? Of every tenant that has settled: what Fly holds is what the spec wants, once;
 * nothing is left to do; nobody was told a secret. Of every tenant that is gone: nothing of it is left anywhere.
 */
import { expect } from 'vitest';
import { appOf, hostnameOf } from '../../src/reconcilers/tenant/input.ts';
import { METADATA } from '../../src/reconcilers/tenant/parts/machine-identity.ts';
import { DATABASE_URL } from '../../src/reconcilers/tenant/parts/secrets.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { databaseName, imageTag, VOLUME_NAME } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from '../support/eventually.ts';
import { settings, type Harness, type SimulatedApp, type SimulatedWorld } from './harness.ts';

const DELETED_VOLUME = /destroy|detach|fork_cleanup/;

/** Machines of the app that are there, or on their way. */
export function liveMachines(app: SimulatedApp | undefined): SimulatedApp['machines'] {
  return (app?.machines ?? []).filter(({ state }) => state !== 'destroyed' && state !== 'destroying');
}

/** Volumes of the app that are not deleted. */
export function liveVolumes(app: SimulatedApp | undefined): SimulatedApp['volumes'] {
  return (app?.volumes ?? []).filter(({ state }) => !DELETED_VOLUME.test(state));
}

/** Is the tenant as its spec wants it, and does Fly hold nothing else? Waits for what is on its way, then judges. */
export async function invariants(house: Harness, name: string): Promise<Tenant> {
  const { tenant, plan } = await eventually(
    async () => {
      const seen = await house.get(name);
      // A look at Fly may be refused for a moment as any other.
      const plan = seen === undefined ? undefined : await house.plan(seen).catch(() => undefined);
      return seen !== undefined && plan?.converged === true && isReady(seen)
        ? { tenant: seen, plan }
        : undefined;
    },
    { what: `tenant ${name} to be Ready with an empty plan` },
  );
  const app = await house.app(tenant);
  expect(holdings(tenant, app), `what Fly holds of tenant ${name}`).toEqual(wanted(tenant, app));
  expect(consistency(tenant), `the status of tenant ${name}`).toEqual([]);
  const secrets = await secretsOf(house, tenant);
  const told = JSON.stringify([tenant, await house.eventsOf(tenant), plan]);
  for (const secret of secrets) expect(told.includes(secret), `a secret of ${name} was told`).toBe(false);
  return tenant;
}

/** Everything that might be told by mistake. */
export async function secretsOf(house: Harness, { metadata }: Tenant): Promise<string[]> {
  const revealed = await house.vault.reveal(metadata.uid);
  return revealed === undefined ? [] : [revealed.databasePassword, ...Object.values(revealed.values)];
}

/** Is nothing left of a tenant that was deleted, except what was told of it, which holds none of `secrets`? */
export async function nothingLeft(house: Harness, tenant: Tenant, secrets: readonly string[]): Promise<void> {
  const { uid, name } = tenant.metadata;
  const database = databaseName(uid);
  const { apps, registry } = await house.control<SimulatedWorld>('GET', '/world');
  const left = {
    app: apps[appOf(tenant)],
    tag: registry?.tags[`${settings.sharedRegistryApp}:${imageTag(uid)}`],
    vault: await house.vault.describe(uid),
    databases: await house.test.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]),
    roles: await house.test.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [database]),
    tenant: await house.store.getByUid(uid),
  };
  const nothing = { app: undefined, tag: undefined, vault: undefined, databases: [], roles: [] };
  expect(left, `what is left of tenant ${name}`).toEqual({ ...nothing, tenant: undefined });
  const told = JSON.stringify(await house.eventsOf(tenant));
  for (const secret of secrets) expect(told.includes(secret), `a secret of ${name} was told`).toBe(false);
}

function isReady(tenant: Tenant): boolean {
  const ready = findCondition(tenant.status?.conditions, 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === tenant.metadata.generation;
}

function holdings({ status }: Tenant, app: SimulatedApp | undefined) {
  return {
    app: status?.app?.name,
    machines: liveMachines(app).map(({ id, config }) => ({
      id,
      digest: config.image.split('@')[1],
      memoryMb: config.guest.memory_mb,
      state: config.metadata?.[METADATA.state],
      volumes: config.mounts?.map(({ volume }) => volume),
    })),
    volumes: liveVolumes(app).map(({ id, name, size_gb: sizeGb }) => ({ id, name, sizeGb })),
    addresses: app?.addresses.map(({ type }) => type).sort(),
    certificates: app?.certificates.map(({ hostname }) => hostname).sort(),
    secrets: app?.secrets.names.filter((name) => name === DATABASE_URL),
  };
}

function wanted(tenant: Tenant, app: SimulatedApp | undefined): ReturnType<typeof holdings> {
  const { spec, status } = tenant;
  const machine = {
    id: status?.machine?.id ?? '',
    digest: status?.image?.digest,
    memoryMb: spec.memoryMb,
    state: spec.state,
    volumes: [status?.volume?.id ?? ''],
  };
  // Of an adopted app the volume keeps its name and size, and hostnames of its own.
  const kept = spec.adopt === undefined ? undefined : liveVolumes(app)[0];
  const foreign = spec.adopt === undefined ? [] : (app?.certificates ?? []).map(({ hostname }) => hostname);
  const sizeGb = Math.max(kept?.size_gb ?? 0, spec.volumeGb);
  return {
    app: appOf(tenant),
    machines: spec.image === undefined ? [] : [machine],
    volumes: [{ id: status?.volume?.id ?? '', name: kept?.name ?? VOLUME_NAME, sizeGb }],
    addresses: ['shared_v4', 'v6'],
    certificates: [...new Set([hostnameOf(tenant, settings), ...spec.hostnames, ...foreign])].sort(),
    secrets: [DATABASE_URL],
  };
}

/** What in a status contradicts itself. */
function consistency({ metadata, status }: Tenant): string[] {
  const conditions = status?.conditions ?? [];
  const unexpected = (type: 'Reconciling' | 'Stalled'): string[] =>
    findCondition(conditions, type)?.status === 'False' ? [] : [`it is Ready and ${type}`];
  return [
    ...unexpected('Reconciling'),
    ...unexpected('Stalled'),
    ...(status?.failure === undefined ? [] : [`it is Ready and has the failure ${status.failure.reason}`]),
    ...(status?.observedGeneration === metadata.generation ? [] : ['it speaks of another generation']),
    ...conditions
      .filter(({ observedGeneration }) => observedGeneration !== metadata.generation)
      .map(({ type }) => `${type} speaks of another generation`),
  ];
}
