/** Does a client see its tenant being built, once and to the end? On a real socket. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TenantEvent } from '../../../src/store/store.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { eventually } from '../../support/eventually.ts';
import { metric, openStream, type StreamClient } from '../client.ts';
import { openHarness, type Harness } from '../harness.ts';

let harness: Harness;
let tenant: Tenant;
let count = 0;
const open: StreamClient[] = [];
beforeAll(async () => {
  harness = await openHarness();
});
beforeEach(async () => {
  tenant = await harness.seed(`shop-${count++}`);
});
afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await noStreams();
});
afterAll(() => harness.close());

const OPEN_STREAMS = 'landlord_http_streams{kind="events"}';
const noStreams = () =>
  eventually(async () => (await metric(harness, OPEN_STREAMS)) === 0, {
    what: 'every stream to end',
    intervalMs: 5,
  });

const normal = (reason: string): TenantEvent => ({ type: 'Normal', reason, message: `${reason} happened` });
const record = (...reasons: string[]) => harness.events.record(tenant.metadata.uid, reasons.map(normal));

async function follow(query = '', headers: Record<string, string> = {}): Promise<StreamClient> {
  const path = `/api/v1/tenants/${tenant.metadata.uid}/events${query}`;
  const client = await openStream(harness, {
    caller: { customer: 'ctm_1' },
    path,
    separator: '\n\n',
    headers,
  });
  open.push(client);
  return client;
}

interface Frame {
  readonly event: string;
  readonly id: number;
  readonly data: Readonly<Record<string, unknown>>;
}

async function frame(client: StreamClient): Promise<Frame | undefined> {
  const text = await client.next();
  if (text === undefined) return undefined;
  const fields = new Map(
    text
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  return {
    event: fields.get('event') ?? '',
    id: Number(fields.get('id')),
    data: JSON.parse(fields.get('data') ?? 'null') as Frame['data'],
  };
}

const type = async (client: StreamClient): Promise<unknown> => (await frame(client))?.data['event_type'];

describe('the event stream', () => {
  it('replays what has happened and goes on with what happens', async () => {
    await record('TenantCreated', 'DatabaseCreated');
    const client = await follow();
    expect(client).toMatchObject({ status: 200, contentType: 'text/event-stream' });
    expect(await type(client)).toBe('tenant_created');
    expect(await type(client)).toBe('database_created');
    await record('AppCreated');
    expect(await type(client)).toBe('vm_provisioning_progress');
  });

  it('carries all that clients of any age read', async () => {
    await record('AppCreated');
    const first = await frame(await follow());
    expect(first).toMatchObject({
      event: 'provisioning',
      data: {
        tenant_id: tenant.metadata.uid,
        event_type: 'vm_provisioning_progress',
        status: 'provisioning',
        step: 'app_created',
        reason: 'AppCreated',
        message: 'AppCreated happened',
        app_url: `https://${tenant.metadata.uid}.tenants.example.com`,
        fly_app_name: `sp-${tenant.metadata.uid}`,
        app_id: `sp-${tenant.metadata.uid}`,
      },
    });
    expect(first?.id).toBeGreaterThan(0);
  });

  it.each(['header', 'query'])(
    'resumes after the last event that the client has, given in the %s',
    async (place) => {
      await record('TenantCreated', 'DatabaseCreated');
      const client = await follow();
      const first = await frame(client);
      const resumed =
        place === 'header'
          ? await follow('', { 'last-event-id': String(first?.id) })
          : await follow(`?last_event_id=${first?.id}`);
      expect(await type(resumed)).toBe('database_created');
    },
  );

  it('refuses a position that it did not give', async () => {
    const client = await follow('', { 'last-event-id': 'yesterday' });
    expect(client.status).toBe(400);
  });

  it('replays a long history whole', async () => {
    const reasons = Array.from({ length: 180 }, (_, index) => `Step${index}`);
    for (let from = 0; from < reasons.length; from += 45) await record(...reasons.slice(from, from + 45));
    const client = await follow();
    for (const reason of reasons) expect((await frame(client))?.data['reason']).toBe(reason);
  });
});

describe('the end of the stream', () => {
  const ready = () => harness.report(tenant, { observedGeneration: 1, phase: 'awaiting_deploy' });

  it('comes after the history of a tenant that awaits its first deploy', async () => {
    await record('TenantCreated', 'InfrastructureReady');
    await ready();
    const client = await follow();
    expect([await type(client), await type(client)]).toEqual(['tenant_created', 'infrastructure_ready']);
    expect(await client.next()).toBeUndefined();
  });

  it('does not come before the event that explains it, however late that is', async () => {
    const list = harness.events.list.bind(harness.events);
    harness.events.list = async (...query) => {
      const page = await list(...query);
      harness.events.list = list;
      await record('InfrastructureReady');
      await ready();
      return page;
    };
    const client = await follow();
    expect(await type(client)).toBe('infrastructure_ready');
    expect(await client.next()).toBeUndefined();
  });

  it('comes when the infrastructure becomes ready', async () => {
    const client = await follow();
    await record('InfrastructureReady');
    expect(await type(client)).toBe('infrastructure_ready');
    expect(await client.next()).toBeUndefined();
  });

  it('does not come then for whoever follows', async () => {
    await record('InfrastructureReady');
    await ready();
    const client = await follow('?follow=1');
    expect(await type(client)).toBe('infrastructure_ready');
    await record('MachineCreated', 'TenantReady');
    expect([await type(client), await type(client)]).toEqual(['vm_provisioning_started', 'tenant_ready']);
  });

  it('does not come then for a tenant that has an image', async () => {
    await record('InfrastructureReady');
    const image = `registry.example.com/images:tenant-${tenant.metadata.uid}`;
    await harness.store.update({ metadata: tenant.metadata, spec: { ...tenant.spec, image } });
    const client = await follow();
    expect(await type(client)).toBe('infrastructure_ready');
    await record('TenantReady');
    expect(await type(client)).toBe('tenant_ready');
  });

  it('comes when the tenant is gone', async () => {
    await record('TenantCreated');
    const client = await follow('?follow=1');
    expect(await type(client)).toBe('tenant_created');
    await harness.store.delete(tenant.metadata);
    const ended = client.next();
    await beat();
    expect(await ended).toBeUndefined();
  });

  it('comes when the client goes, and leaves nothing behind', async () => {
    const timers = harness.clock.timers;
    const client = await follow();
    expect(await metric(harness, OPEN_STREAMS)).toBe(1);
    client.close();
    await noStreams();
    expect(harness.clock.timers).toBe(timers);
  });
});

describe('a failure', () => {
  it('that the tenant has left is shown as progress, so that nobody stops at it', async () => {
    await record('ProvisioningFailed', 'TenantReady');
    const client = await follow('?follow=1');
    expect((await frame(client))?.data).toMatchObject({
      event_type: 'vm_provisioning_progress',
      step: 'provisioning_failed',
      reason: 'ProvisioningFailed',
    });
    expect(await type(client)).toBe('tenant_ready');
  });

  it('that is being retried is shown as progress', async () => {
    await record('ProvisioningFailed');
    const failed = await harness.report(tenant, { observedGeneration: 1, phase: 'failed' });
    await harness.store.update({
      metadata: failed.metadata,
      spec: { ...failed.spec, retriedAt: '2026-01-01T00:00:00Z' },
    });
    expect(await type(await follow())).toBe('vm_provisioning_progress');
  });

  it('that stands is shown as one', async () => {
    await record('ProvisioningFailed');
    await harness.report(tenant, { observedGeneration: 1, phase: 'failed' });
    expect(await type(await follow())).toBe('provisioning_failed');
  });

  it('that happens is shown as one', async () => {
    const client = await follow();
    await record('Stalled');
    expect((await frame(client))?.data).toMatchObject({
      event_type: 'provisioning_failed',
      status: 'failed',
    });
  });
});

describe('silence', () => {
  it('is broken by a comment every fifteen seconds', async () => {
    const client = await follow();
    const next = client.next();
    await beat();
    expect(await next).toBe(': heartbeat');
  });
});

/** Lets fifteen seconds pass once the stream's heart has been set going. */
async function beat(): Promise<void> {
  await eventually(() => harness.clock.timers >= 2, { what: 'the heartbeat to be set', intervalMs: 5 });
  await harness.clock.advance(15_000);
}
