/** What an operator can ask of the loop by annotation: to keep its hands off, and to look now. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PAUSED, RECONCILE_REQUESTED_AT } from '../../src/tenant/annotations.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { ConflictError } from '../../src/store/store.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { createHarness, type Harness } from './harness.ts';

let house: Harness;
beforeAll(async () => {
  house = await createHarness({ timeFactor: 10 });
});
afterAll(() => house.close());

/** Sets an annotation, or takes it away, as `kubectl annotate` does. */
async function annotate(name: string, key: string, value?: string): Promise<void> {
  for (let left = 5; ; left -= 1) {
    const tenant = await house.get(name);
    if (tenant === undefined) throw new Error(`there is no tenant ${name}`);
    const others = Object.entries(tenant.metadata.annotations ?? {}).filter(([other]) => other !== key);
    const annotations = Object.fromEntries(value === undefined ? others : [...others, [key, value]]);
    try {
      await house.store.update({ ...tenant, metadata: { ...tenant.metadata, annotations } });
      return;
    } catch (error) {
      if (!(error instanceof ConflictError) || left === 0) throw error;
    }
  }
}

function reasonOf(tenant: Tenant, type: 'Ready' | 'Reconciling'): string | undefined {
  return findCondition(tenant.status?.conditions, type)?.reason;
}

/** What people were told of the pause, and how often. */
async function pausesOf(tenant: Tenant): Promise<string[]> {
  const events = await house.eventsOf(tenant);
  return events
    .filter(({ reason }) => reason === 'Paused' || reason === 'Unpaused')
    .map(({ reason, count }) => `${reason} ${count}`);
}

const isShownPaused = (tenant: Tenant): boolean => reasonOf(tenant, 'Reconciling') === 'Paused';

describe('the annotation that pauses', () => {
  it('keeps every edit from Fly, says so, and lets it through once it is gone', async () => {
    await house.create('held');
    const running = await house.phase('held', 'running');
    await annotate('held', PAUSED, 'true');
    const settled = await house.waitFor('held', 'be shown as paused', isShownPaused);
    expect(reasonOf(settled, 'Ready')).toBe('Running');
    const before = await house.writes(running);

    await house.edit('held', { memoryMb: 1024 });
    const waiting = await house.waitFor(
      'held',
      'tell that work is left',
      (tenant) => reasonOf(tenant, 'Ready') === 'Paused',
    );
    expect(waiting.status?.observedGeneration).toBe(waiting.metadata.generation);
    expect(await house.writes(running)).toEqual(before);

    await annotate('held', PAUSED);
    const resumed = await house.phase('held', 'running');
    expect((await house.app(resumed))?.machines[0]?.config.guest.memory_mb).toBe(1024);
    expect(await pausesOf(resumed)).toEqual(['Paused 1', 'Unpaused 1']);
  });

  it('holds a deletion back as well, and nothing of the tenant goes', async () => {
    await house.create('kept');
    const running = await house.phase('kept', 'running');
    await annotate('kept', PAUSED, 'true');
    await house.waitFor('kept', 'be shown as paused', isShownPaused);
    await house.store.delete({ namespace: 'default', name: 'kept' });
    await house.waitFor('kept', 'be shown as deleted', (tenant) => reasonOf(tenant, 'Ready') === 'Deleting');
    expect((await house.app(running))?.machines).toHaveLength(1);

    await annotate('kept', PAUSED);
    await house.gone('kept');
    expect(await house.app(running)).toBeUndefined();
  });

  it('is told of once, and so is its end, although Fly cannot be looked at meanwhile', async () => {
    await house.create('in-the-dark');
    await house.phase('in-the-dark', 'running');
    await annotate('in-the-dark', PAUSED, 'true');
    await house.edit('in-the-dark', { memoryMb: 1024 });
    await house.waitFor('in-the-dark', 'be shown as paused', isShownPaused);
    await house.control('POST', '/outage', { kind: 'status', status: 503 });
    const blind = async (what: string, holds: (tenant: Tenant) => boolean): Promise<void> => {
      await annotate('in-the-dark', RECONCILE_REQUESTED_AT, what);
      await house.waitFor('in-the-dark', `say that Fly is away ${what}`, holds);
    };
    const isAway = (tenant: Tenant): boolean => tenant.status?.failure !== undefined;
    await blind('while paused', (tenant) => isAway(tenant) && isShownPaused(tenant));
    await annotate('in-the-dark', PAUSED);
    await blind('once it goes on', (tenant) => isAway(tenant) && !isShownPaused(tenant));
    await house.control('POST', '/outage', { kind: 'off' });
    const resumed = await house.phase('in-the-dark', 'running');
    expect(await pausesOf(resumed)).toEqual(['Paused 1', 'Unpaused 1']);
  });

  it('stops a tenant that is only being made before anything is asked of Fly', async () => {
    await house.loop.stop(5_000);
    const { metadata } = await house.create('unborn');
    await annotate('unborn', PAUSED, 'true');
    await house.restartLoop();
    const tenant = await house.waitFor('unborn', 'be shown as paused', isShownPaused);
    expect(reasonOf(tenant, 'Ready')).toBe('Paused');
    expect(await house.writes(tenant)).toEqual({});
    expect(await house.vault.describe(metadata.uid)).toBeUndefined();
  });

  it('means nothing with any other value', async () => {
    await house.create('free');
    await annotate('free', PAUSED, 'false');
    await house.phase('free', 'running');
  });
});

describe('the annotation that asks for a look', () => {
  it('is served at once although the tenant backs off, and is echoed in status', async () => {
    await house.create('asked');
    const running = await house.phase('asked', 'running');
    const app = `sp-${running.metadata.uid}`;
    await house.control('POST', '/faults', {
      app,
      operation: 'Machines_update',
      kind: 'status',
      status: 500,
      count: 6,
    });
    await house.edit('asked', { memoryMb: 1024 });
    await house.waitFor('asked', 'fail twice', ({ status }) => (status?.failure?.attempts ?? 0) >= 2);
    await annotate('asked', RECONCILE_REQUESTED_AT, '2026-01-01T00:00:00Z');
    const served = await house.waitFor(
      'asked',
      'echo the request',
      ({ status }) => status?.lastHandledReconcileAt === '2026-01-01T00:00:00Z',
    );
    expect(served.metadata.generation).toBe(2);
    await house.phase('asked', 'running');
  });

  it('is not echoed while the tenant is paused, and is once it goes on', async () => {
    await annotate('asked', PAUSED, 'true');
    await annotate('asked', RECONCILE_REQUESTED_AT, 'again');
    const paused = await house.waitFor('asked', 'be shown as paused', isShownPaused);
    expect(paused.status?.lastHandledReconcileAt).not.toBe('again');
    await annotate('asked', PAUSED);
    await house.waitFor('asked', 'echo it', ({ status }) => status?.lastHandledReconcileAt === 'again');
  });
});
