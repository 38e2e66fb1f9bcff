/**
 * One whole life of a tenant, from its creation to its deletion, with everything in between that makes the loop
 * change Fly. Tests of bad days let it be lived under faults and crashes, and compare its end with an undisturbed one.
 */
import type { Tenant } from '../../src/tenant/schema.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { imageTag } from '../../src/tenant/names.ts';
import { liveMachines } from '../invariants/holdings.ts';
import { invariants, nothingLeft, secretsOf } from './invariants.ts';
import { IMAGE, settings, type Harness } from './harness.ts';

/** Longer than any back-off, grace and time-out together, in the harness's own fast time. */
const PATIENCE_MS = 60_000;

/** An edit, and the phase in which the tenant comes to rest after it. */
interface Station {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly phase: string;
}

function stations(name: string): readonly Station[] {
  const at = '2030-01-01T00:00:00Z';
  return [
    { spec: { image: IMAGE }, phase: 'running' },
    { spec: { restartedAt: at, credentialsRotatedAt: at, externalDatabaseAccess: true }, phase: 'running' },
    { spec: { memoryMb: 1024, volumeGb: 3, hostnames: [`second.${name}.test`] }, phase: 'running' },
    { spec: { state: 'Suspended' }, phase: 'suspended' },
    { spec: { state: 'Running' }, phase: 'running' },
  ];
}

/** What an undisturbed life and a disturbed one must have in common. */
export interface Lived {
  /** Versions that the machine had by its last station: one for its creation and one for each accepted change. */
  readonly versions: number;
  /** Machines and volumes that were ever made, also those that are deleted by now. */
  readonly machines: number;
  readonly volumes: number;
}

/** Lives the life of tenant `name`. Rejects when it comes to rest nowhere, or breaks an invariant. */
export async function live(
  house: Harness,
  name: string,
  options: { readonly created?: (tenant: Tenant) => Promise<void> } = {},
): Promise<Lived> {
  const hostnames = [`first.${name}.test`];
  const created = await house.create(name, { image: undefined, hostnames });
  const tag = imageTag(created.metadata.uid);
  await house.control('POST', '/registry', { repository: settings.sharedRegistryApp, tag });
  await options.created?.(created);
  await untilSeen(house, created, 'awaiting_deploy');
  for (const { spec, phase } of stations(name)) {
    await untilSeen(house, await persistently(() => house.edit(name, spec)), phase);
  }
  const tenant = await invariants(house, name);
  const secrets = await secretsOf(house, tenant);
  const app = await house.app(tenant);
  const lived = {
    versions: liveMachines(app)[0]?.versions.length ?? 0,
    machines: app?.machines.length ?? 0,
    volumes: app?.volumes.length ?? 0,
  };
  await house.store.delete({ namespace: 'default', name });
  await untilSeen(house, tenant, 'gone');
  await nothingLeft(house, tenant, secrets);
  return lived;
}

/** A status that is written between reading and editing is an everyday conflict: whoever edits tries again. */
async function persistently<T>(edit: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await edit();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ConflictError' || attempt === 20) throw error;
    }
  }
}

/** Resolves when the store says that the tenant rests in the phase, in this generation or a later one, or is gone. */
export function untilSeen(house: Harness, { metadata }: Tenant, phase: string): Promise<void> {
  const { name, generation } = metadata;
  const key = `default/${name}`;
  const last = (): string => {
    const status = house.tenants.get(key)?.status;
    return `${status?.phase ?? 'no phase'}, ${findCondition(status?.conditions, 'Ready')?.message ?? ''}`;
  };
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const tenant = house.tenants.get(key);
      const older = (tenant?.metadata.generation ?? 0) < generation;
      if (phase === 'gone' ? tenant !== undefined : older || !rests(tenant, phase)) return;
      finish();
      resolve();
    };
    const stopListening = house.tenants.onChange((change) => {
      if (change.key === key) look();
    });
    const timer = setTimeout(() => {
      finish();
      reject(new Error(`gave up waiting for tenant ${name} to be ${phase}; it is ${last()}`));
    }, PATIENCE_MS);
    function finish(): void {
      clearTimeout(timer);
      stopListening();
    }
    look();
  });
}

function rests(tenant: Tenant | undefined, phase: string): boolean {
  const ready = findCondition(tenant?.status?.conditions, 'Ready');
  const current = ready?.observedGeneration === tenant?.metadata.generation;
  return tenant?.status?.phase === phase && ready?.status === 'True' && current;
}

/** Runs `work` for every item, at most `width` at a time, and returns what went wrong, by name. */
export async function inParallel<T extends { readonly title: string }>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<string[]> {
  const failures: string[] = [];
  let next = 0;
  async function worker(): Promise<void> {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]!;
      await work(item, index).catch((error: unknown) => {
        failures.push(`${item.title}: ${error instanceof Error ? error.message : String(error)}`);
      });
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return failures;
}
