/**
 * Do the invariants (test/invariants) hold in a real house? Of every tenant that has settled: what Fly holds is what the
 * spec wants, once; nothing is left to do; nobody was told a secret. Of every tenant that is gone: nothing is left.
 */
import { expect } from 'vitest';
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import { databaseName, imageTag } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { differences, misreports } from '../invariants/holdings.ts';
import { createVerdicts } from '../invariants/invariant.ts';
import { checkTold, contradictions, isReady } from '../invariants/status.ts';
import { eventually } from '../support/eventually.ts';
import { settings, type Harness, type SimulatedWorld } from './harness.ts';

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
  const wrong = [
    ...differences(tenant, app, settings),
    ...misreports(tenant, app),
    ...contradictions(tenant),
  ];
  expect(wrong, `what is wrong with tenant ${name}`).toEqual([]);
  const secrets = await secretsOf(house, tenant);
  expectUntold(name, [tenant, await house.eventsOf(tenant), plan], secrets);
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
  expectUntold(name, await house.eventsOf(tenant), secrets);
}

function expectUntold(name: string, told: unknown, secrets: readonly string[]): void {
  const verdicts = createVerdicts();
  checkTold(verdicts, { where: `what is told of ${name}`, text: JSON.stringify(told), secrets });
  expect(verdicts.violations).toEqual([]);
}
