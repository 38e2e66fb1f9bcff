/** What do the probes say of the process? */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metric } from './client.ts';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness();
});
afterAll(() => harness.close());

const red = {
  healthy: false,
  checks: [
    { name: 'database', healthy: true },
    { name: 'tenant-watch', healthy: false, message: 'the watch is down' },
  ],
};

describe('readiness', () => {
  it('is green while everything is', async () => {
    expect(await harness.call('nobody', 'GET', '/readyz')).toMatchObject({
      status: 200,
      body: { status: 'ok', checks: [{ name: 'database', status: 'ok' }] },
    });
  });

  it.each(['/readyz', '/api/v1/health'])(
    'at %s is 503 while a watch is down, and names each check',
    async (url) => {
      const { health } = harness.outside;
      harness.outside.health = async () => red;
      const answer = await harness.call('nobody', 'GET', url);
      const verbose = await harness.call('nobody', 'GET', `${url}?verbose`);
      harness.outside.health = health;
      expect(answer.status).toBe(503);
      expect(answer.body).toEqual({
        status: 'unavailable',
        checks: [
          { name: 'database', status: 'ok' },
          { name: 'tenant-watch', status: 'failed' },
        ],
      });
      expect(verbose.body.checks[1]).toEqual({
        name: 'tenant-watch',
        status: 'failed',
        message: 'the watch is down',
      });
    },
  );

  it('is 503 when it cannot be told', async () => {
    const { health } = harness.outside;
    harness.outside.health = () => Promise.reject(new Error('boom'));
    const answer = await harness.call('nobody', 'GET', '/readyz?verbose');
    harness.outside.health = health;
    expect(answer).toMatchObject({
      status: 503,
      body: { checks: [{ name: 'health', message: 'cannot be asked' }] },
    });
  });

  it('is 503 when a check hangs, and liveness is not touched by it', async () => {
    const { health } = harness.outside;
    harness.outside.health = () => new Promise(() => undefined);
    const asked = harness.call('nobody', 'GET', '/readyz?verbose');
    expect((await harness.call('nobody', 'GET', '/livez')).body).toEqual({ status: 'ok' });
    await harness.clock.advance(5_000);
    const answer = await asked;
    harness.outside.health = health;
    expect(answer).toMatchObject({ status: 503, body: { checks: [{ message: 'did not answer in time' }] } });
  });
});

describe('figures', () => {
  it('count requests by method, pattern and status, and never by path', async () => {
    const line = 'landlord_http_requests_total{method="GET",route="/api/v1/tenants/:id",status="404"}';
    for (const id of ['a', 'b', 'c']) await harness.call('operator', 'GET', `/api/v1/tenants/${id}`);
    expect(await metric(harness, line)).toBe(3);
    await harness.call('nobody', 'GET', '/some/where/else');
    expect(
      await metric(harness, 'landlord_http_requests_total{method="GET",route="unmatched",status="404"}'),
    ).toBe(1);
  });

  it('show the open streams from the start', async () => {
    expect(await metric(harness, 'landlord_http_streams{kind="watch"}')).toBe(0);
    expect(await metric(harness, 'landlord_http_streams{kind="events"}')).toBe(0);
  });
});
