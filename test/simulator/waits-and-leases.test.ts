import { describe, expect, it } from 'vitest';
import { createTenant, createVirtualFly } from './support/virtual-fly.ts';

const NONCE = 'fly-machine-lease-nonce';

describe('waiting for a machine', () => {
  it('ends when the machine arrives', () => {
    const fly = createVirtualFly({
      latency: { ranges: { suspend: [700, 700] }, kinds: { call: 0, lag: 0 } },
    });
    const { base, version } = createTenant(fly);
    fly.call('POST', `${base}/suspend`);
    const before = fly.now();
    expect(fly.call('GET', `${base}/wait?state=suspended`).json).toMatchObject({
      ok: true,
      state: 'suspended',
      version,
    });
    expect(fly.now() - before).toBe(700);
  });

  it('says 408 with both states after the time that was asked for', () => {
    const fly = createVirtualFly();
    const { base, version } = createTenant(fly);
    const before = fly.now();
    expect(
      fly.call('GET', `${base}/wait?state=stopped,suspended&version=${version}&timeout=7`),
    ).toMatchObject({
      status: 408,
      json: {
        error:
          'deadline_exceeded: machine failed to reach desired state, stopped, suspended, currently started',
      },
    });
    expect(fly.now() - before).toBe(7_000);
  });

  it('never takes longer than a minute', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const before = fly.now();
    expect(fly.call('GET', `${base}/wait?state=suspended&timeout=600`).status).toBe(408);
    expect(fly.now() - before).toBe(60_000);
  });

  it('wants a version when it waits for stopped', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    expect(fly.call('GET', `${base}/wait?state=stopped`)).toMatchObject({
      status: 400,
      json: { error: 'instance_id required when waiting for stopped machine' },
    });
  });

  it('says at once that the version was replaced', () => {
    const fly = createVirtualFly();
    const { base, version } = createTenant(fly);
    fly.call('POST', base, { config: fly.call('GET', base).json.config });
    const { status, json } = fly.call('GET', `${base}/wait?state=started&version=${version}`);
    expect({ status, error: json.error }).toEqual({
      status: 408,
      error: expect.stringContaining('currently replaced'),
    });
  });

  it('waits for something after an event', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const { event_id: event } = fly.call('GET', `${base}/wait?state=started`).json;
    expect(fly.call('GET', `${base}/wait?state=started&from_event_id=${event}&timeout=1`).status).toBe(408);
    fly.call('POST', `${base}/restart`);
    expect(fly.call('GET', `${base}/wait?state=started&from_event_id=${event}&timeout=1`).status).toBe(200);
  });

  it('ends when the machine goes, and answers 404 when it is gone', () => {
    const fly = createVirtualFly({ latency: { kinds: { call: 0, lag: 0 } } });
    const { base } = createTenant(fly);
    fly.call('DELETE', `${base}?force=true`);
    expect(fly.call('GET', `${base}/wait?state=destroyed`).json).toMatchObject({ state: 'destroyed' });
    expect(fly.call('GET', `${base}/wait?state=destroyed`).status).toBe(404);
  });

  it.each([['state=running'], ['version=nonsense'], ['timeout=soon']])('refuses %s', (query) => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    expect(fly.call('GET', `${base}/wait?${query}`).status).toBe(400);
  });
});

describe('a lease', () => {
  it('keeps everybody out who has no nonce, until it is over', () => {
    const fly = createVirtualFly();
    const { base, machine, version } = createTenant(fly);
    const { status, json } = fly.call('POST', `${base}/lease`, { ttl: 30, description: 'test' });
    expect({ status, json }).toMatchObject({ status: 201, json: { data: { description: 'test', version } } });
    const expires = new Date(Number(json.data.expires_at) * 1000).toISOString();
    const { config } = fly.call('GET', base).json;
    for (const [method, path, body] of [
      ['POST', base, { config }],
      ['POST', `${base}/stop`, undefined],
      ['POST', `${base}/lease`, { ttl: 5 }],
      ['DELETE', `${base}?force=true`, undefined],
    ] as const) {
      const refused = fly.call(method, path, body);
      expect(refused.status).toBe(409);
      expect(refused.json.error).toBe(
        `machine ID ${machine} lease currently held by ${json.data.owner}, expires at ${expires}`,
      );
    }
    expect(fly.call('POST', `${base}/cordon`, undefined, { [NONCE]: String(json.data.nonce) }).status).toBe(
      200,
    );
    fly.pass(30_000);
    expect(fly.call('POST', `${base}/stop`).status).toBe(200);
  });

  it('is refreshed with its nonce, and released only with it', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const first = fly.call('POST', `${base}/lease?ttl=10`).json.data;
    fly.pass(5000);
    const second = fly.call('POST', `${base}/lease?ttl=10`, undefined, { [NONCE]: first.nonce }).json.data;
    expect(second.nonce).toBe(first.nonce);
    expect(second.expires_at).toBe(first.expires_at + 5);
    expect(fly.call('DELETE', `${base}/lease`).status).toBe(400);
    expect(fly.call('DELETE', `${base}/lease`, undefined, { [NONCE]: 'wrong' }).status).toBe(409);
    expect(fly.call('DELETE', `${base}/lease`, undefined, { [NONCE]: first.nonce }).status).toBe(200);
    expect(fly.call('GET', `${base}/lease`).status).toBe(404);
  });

  it('fails a call with a nonce whose lease is over', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const { nonce } = fly.call('POST', `${base}/lease`, { ttl: 1 }).json.data;
    fly.pass(1000);
    expect(fly.call('POST', `${base}/stop`, undefined, { [NONCE]: nonce }).status).toBe(412);
  });

  it('can be taken with an update, which answers the nonce', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const { config } = fly.call('GET', base).json;
    const { nonce } = fly.call('POST', base, { config, lease_ttl: 60 }).json;
    expect(fly.call('GET', `${base}/lease`).json.data.nonce).toBe(nonce);
    expect(fly.call('GET', `${base}?include_leases=true`).json.lease).toMatchObject({
      owner: expect.stringContaining('@tokens.fly.io'),
    });
  });

  it('never tells the token of its holder', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    fly.call('POST', `${base}/lease`, { ttl: 60 }, { authorization: 'Bearer top-secret-token' });
    expect(JSON.stringify([fly.world.state, fly.control('GET', '/world').json])).not.toContain('top-secret');
  });
});
