/** What of a client that stops reading, and of a process that stops? */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { metric, openStream } from './client.ts';
import { openHarness, TENANTS, type Harness } from './harness.ts';

describe('a client that stops reading', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await openHarness();
  });
  afterAll(() => harness.close());

  it('is given up on, and holds up nobody else', async () => {
    const stuck = connect(Number(new URL(harness.url).port), '127.0.0.1');
    stuck.pause();
    const token = await harness.token('operator');
    stuck.write(`GET ${TENANTS}?watch=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
    const open = 'landlord_http_streams{kind="watch"}';
    await eventually(async () => (await metric(harness, open)) === 1, {
      what: 'the watch to open',
      intervalMs: 5,
    });
    const reader = await openStream(harness, {
      caller: 'operator',
      path: `${TENANTS}?watch=1`,
      separator: '\n',
    });

    const timersWithRoom = harness.clock.timers;
    const env = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`V${index}`, 'x'.repeat(4000)]));
    let seeded = 0;
    await eventually(
      async () => {
        await harness.seed(`big-${seeded++}`, { spec: { env } });
        await reader.next();
        return harness.clock.timers > timersWithRoom;
      },
      { what: 'the buffers of the stuck client to be full', intervalMs: 1 },
    );
    await harness.clock.advance(30_000);
    await eventually(async () => (await metric(harness, open)) === 1, {
      what: 'the stuck watch to end',
      intervalMs: 5,
    });
    await harness.seed('after');
    expect(JSON.parse((await reader.next())!)).toMatchObject({ object: { metadata: { name: 'after' } } });
    expect(harness.logged.some((line) => line.includes('the client has stopped reading'))).toBe(true);
    reader.close();
    stuck.destroy();
  });
});

describe('a caller with too many streams', () => {
  it('must wait, while others need not', async () => {
    const harness = await openHarness();
    const { metadata } = await harness.seed('one');
    const path = `/api/v1/tenants/${metadata.uid}/events`;
    const open = () => openStream(harness, { caller: 'operator', path, separator: '\n\n' });
    const clients = await Promise.all(Array.from({ length: 200 }, open));
    expect(new Set(clients.map(({ status }) => status))).toEqual(new Set([200]));
    const refused = await harness.call('operator', 'GET', path);
    expect(refused).toMatchObject({ status: 429, body: { error: { code: 'too_many_streams' } } });
    expect(refused.headers['retry-after']).toBe('5');
    const other = await openStream(harness, { caller: { customer: 'ctm_1' }, path, separator: '\n\n' });
    expect(other.status).toBe(200);
    clients[0]?.close();
    await eventually(async () => (await metric(harness, 'landlord_http_streams{kind="events"}')) === 200, {
      what: 'the stream to end',
      intervalMs: 5,
    });
    expect((await open()).status).toBe(200);
    await harness.close();
  });
});

describe('a process that stops', () => {
  it('ends every stream cleanly', async () => {
    const harness = await openHarness();
    const { metadata } = await harness.seed('one');
    const watch = await openStream(harness, {
      caller: 'operator',
      path: `${TENANTS}?watch=1`,
      separator: '\n',
    });
    const events = await openStream(harness, {
      caller: 'operator',
      path: `/api/v1/tenants/${metadata.uid}/events`,
      separator: '\n\n',
    });
    expect(await watch.next()).toContain('"one"');
    const closed = harness.close();
    expect(await watch.next()).toBeUndefined();
    expect(await events.next()).toBeUndefined();
    await closed;
  });
});
