import { describe, expect, it } from 'vitest';
import { createTenant, createVirtualFly } from './support/virtual-fly.ts';

describe('an app', () => {
  it('is answered with its id and time, and then as Fly shows it', () => {
    const fly = createVirtualFly();
    const { status, json } = fly.call('POST', '/v1/apps', {
      app_name: 't-1',
      org_slug: 'acme',
      network: 't-1',
    });
    expect({ status, created_at: json.created_at }).toEqual({ status: 201, created_at: fly.now() });
    expect(fly.call('GET', '/v1/apps/t-1').json).toMatchObject({
      id: json.id,
      name: 't-1',
      status: 'pending',
      network: 't-1',
      machine_count: 0,
      organization: { slug: 'acme' },
    });
  });

  it.each([['Upper'], ['under_score'], ['-dash'], ['x'.repeat(63)], ['']])(
    'cannot be called "%s"',
    (name) => {
      const { status, json } = createVirtualFly().call('POST', '/v1/apps', { name, org_slug: 'o' });
      expect({ status, error: json.error }).toEqual({
        status: 422,
        error: expect.stringContaining('Validation failed'),
      });
    },
  );

  it('is found under no name that every object has', () => {
    const fly = createVirtualFly();
    expect(fly.call('GET', '/v1/apps/constructor').status).toBe(404);
    expect(fly.call('POST', '/v1/apps', { name: 'constructor', org_slug: 'o' }).status).toBe(201);
  });

  it('has a name that nobody else can have, also not another organisation', () => {
    const fly = createVirtualFly();
    fly.control('POST', '/apps', { name: 'theirs', org: 'them', foreign: true });
    expect(fly.call('POST', '/v1/apps', { name: 'theirs', org_slug: 'us' })).toMatchObject({
      status: 422,
      json: { error: 'Validation failed: Name has already been taken', status: 'name_taken' },
    });
    expect(fly.call('GET', '/v1/apps/theirs').status).toBe(403);
    expect(fly.call('GET', '/v1/apps?org_slug=them').json).toEqual({ total_apps: 0, apps: [] });
  });

  it('is not visible at once, neither to GET nor to lists', () => {
    const fly = createVirtualFly({
      latency: {
        ranges: { getAfterCreate: [400, 400], list: [1500, 1500] },
        kinds: { call: 0, transition: 0 },
      },
    });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const seen = (): unknown => [
      fly.call('GET', '/v1/apps/one').status,
      fly.call('GET', '/v1/apps?org_slug=o').json.total_apps,
    ];
    fly.pass(399);
    expect(seen()).toEqual([404, 0]);
    fly.pass(1);
    expect(seen()).toEqual([200, 0]);
    fly.pass(1100);
    expect(seen()).toEqual([200, 1]);
  });

  it('goes with everything in it, a while after the answer, and then its name is free', () => {
    const fly = createVirtualFly({
      latency: { ranges: { appDestroy: [2000, 2000] }, kinds: { call: 0, lag: 0 } },
    });
    const { app, base } = createTenant(fly);
    expect(fly.call('DELETE', `/v1/apps/${app}`)).toMatchObject({ status: 202, json: undefined });
    expect(fly.call('GET', base).json.state).toBe('destroying');
    expect(fly.call('POST', `/v1/apps/${app}/volumes`, { name: 'late', region: 'iad' }).status).toBe(404);
    expect(fly.call('POST', '/v1/apps', { name: app, org_slug: 'o' }).status).toBe(422);
    fly.pass(2000);
    expect(fly.call('GET', `/v1/apps/${app}`).status).toBe(404);
    expect(fly.call('GET', '/v1/orgs/systemprompt/machines?include_deleted=true').json.machines).toEqual([]);
    expect(fly.call('GET', '/v1/orgs/systemprompt/volumes?include_deleted=true').json.volumes).toEqual([]);
    expect(fly.call('POST', '/v1/apps', { name: app, org_slug: 'o' }).status).toBe(201);
  });
});

describe('addresses', () => {
  it('are given anew every time, but for the shared one', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const allocate = (type: string): string =>
      String(fly.call('POST', '/v1/apps/one/ip_assignments', { type }).json.ip);
    const ips = ['v4', 'v4', 'v6', 'v6', 'shared_v4', 'shared_v4', 'private_v6'].map(allocate);
    expect(new Set(ips).size).toBe(6);
    expect(ips[4]).toBe(ips[5]);
    expect(ips[6]).toMatch(/^fdaa:/);
    const listed = fly.call('GET', '/v1/apps/one/ip_assignments').json.ips;
    expect(listed.map(({ shared }: { shared: boolean }) => shared)).toEqual([
      false,
      false,
      false,
      false,
      true,
      false,
    ]);
  });

  it('can be released once', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const ip = encodeURIComponent(
      String(fly.call('POST', '/v1/apps/one/ip_assignments', { type: 'v6' }).json.ip),
    );
    expect(fly.call('DELETE', `/v1/apps/one/ip_assignments/${ip}`).status).toBe(204);
    expect(fly.call('DELETE', `/v1/apps/one/ip_assignments/${ip}`).status).toBe(404);
  });

  it('of an unknown type are refused', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    expect(fly.call('POST', '/v1/apps/one/ip_assignments', { type: 'v5' }).status).toBe(400);
  });
});

describe('certificates', () => {
  const latency = { ranges: { certificateIssue: [30_000, 30_000] as const }, kinds: { call: 0, lag: 0 } };

  function requested(withAddress: boolean) {
    const fly = createVirtualFly({ latency });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    if (withAddress) fly.call('POST', '/v1/apps/one/ip_assignments', { type: 'shared_v4' });
    const { status, json } = fly.call('POST', '/v1/apps/one/certificates/acme', {
      hostname: 'A.example.com',
    });
    const read = (): unknown => fly.call('GET', '/v1/apps/one/certificates/a.example.com').json.status;
    return { fly, status, json, read };
  }

  it('become active a while after an app with an address asked for them', () => {
    const { fly, status, json, read } = requested(true);
    expect(status).toBe(201);
    expect(json).toMatchObject({
      hostname: 'a.example.com',
      configured: false,
      status: 'pending_validation',
      certificates: [],
    });
    fly.pass(29_999);
    expect(read()).toBe('pending_validation');
    fly.pass(1);
    expect(read()).toBe('active');
  });

  it('wait for the first address', () => {
    const { fly, read } = requested(false);
    fly.pass(45_000);
    expect(read()).toBe('pending_validation');
    fly.call('POST', '/v1/apps/one/ip_assignments', { type: 'v6' });
    fly.pass(15_000);
    expect(read()).toBe('active');
  });

  it('can be held back, fail, and be activated by hand', () => {
    const { fly, read } = requested(true);
    fly.control('POST', '/certificates/a.example.com/hold');
    fly.pass(600_000);
    expect(read()).toBe('pending_validation');
    fly.control('POST', '/certificates/a.example.com/fail');
    expect(fly.call('GET', '/v1/apps/one/certificates/a.example.com').json.validation_errors).toHaveLength(1);
    fly.control('POST', '/certificates/a.example.com/activate');
    expect(read()).toBe('active');
  });

  it('are one for each hostname, and only for hostnames', () => {
    const { fly } = requested(true);
    const again = (hostname: string): number =>
      fly.call('POST', '/v1/apps/one/certificates/acme', { hostname }).status;
    expect([again('a.example.com'), again('not a host'), again('*.example.com')]).toEqual([422, 422, 201]);
  });

  it('come in pages', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    for (const letter of 'abcde')
      fly.call('POST', '/v1/apps/one/certificates/acme', { hostname: `${letter}.example.com` });
    const first = fly.call('GET', '/v1/apps/one/certificates?limit=3').json;
    expect(first).toMatchObject({ total_count: 5, next_cursor: 'c.example.com' });
    const rest = fly.call('GET', `/v1/apps/one/certificates?limit=3&cursor=${first.next_cursor}`).json;
    expect(rest.certificates.map(({ hostname }: { hostname: string }) => hostname)).toEqual([
      'd.example.com',
      'e.example.com',
    ]);
    expect(rest).not.toHaveProperty('next_cursor');
  });
});

describe('secrets', () => {
  it('go in and never come out', () => {
    const fly = createVirtualFly();
    const { app } = createTenant(fly);
    const value = 'correct-horse-battery';
    const answers = [
      fly.call('POST', `/v1/apps/${app}/secrets`, { values: { A: value } }),
      fly.call('GET', `/v1/apps/${app}/secrets?show_secrets=true`),
      fly.call('GET', `/v1/apps/${app}/secrets/A?show_secrets=true`),
      fly.control('GET', '/world'),
      fly.control('GET', '/calls'),
    ];
    expect(JSON.stringify(answers)).not.toContain(value);
    expect(fly.world.state.apps[app]!.secrets.face.secrets[0]!.value).toBe(value);
  });

  it('make one new version with every write, also one that unsets what is not there', () => {
    const fly = createVirtualFly();
    const { app } = createTenant(fly);
    const write = (values: Record<string, string | null>): unknown =>
      fly.call('POST', `/v1/apps/${app}/secrets`, { values }).json;
    expect(write({ B: '1', A: '2' })).toMatchObject({
      version: 1,
      Version: 1,
      secrets: [{ name: 'A' }, { name: 'B' }],
    });
    expect(write({ A: null, C: null })).toMatchObject({ version: 2, secrets: [{ name: 'B' }] });
  });

  it('have a digest that changes with the value and differs between apps', () => {
    const fly = createVirtualFly();
    const digests = ['one', 'two'].map((name) => {
      fly.call('POST', '/v1/apps', { name, org_slug: 'o' });
      const digest = (value: string): unknown =>
        fly.call('POST', `/v1/apps/${name}/secrets/A`, { value }).json.digest;
      return [digest('x'), digest('y'), digest('x')];
    });
    expect(digests[0]![0]).toBe(digests[0]![2]);
    expect(digests[0]![0]).not.toBe(digests[0]![1]);
    expect(digests[0]![0]).not.toBe(digests[1]![0]);
  });

  it('are seen later, unless asked for by version; a machine too', () => {
    const fly = createVirtualFly({
      latency: { ranges: { list: [60_000, 60_000] }, kinds: { call: 0, transition: 0 } },
    });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    fly.pass(60_000);
    fly.call('POST', '/v1/apps/one/secrets', { values: { A: '1' } });
    const count = (query: string): unknown =>
      fly.call('GET', `/v1/apps/one/secrets${query}`).json.secrets.length;
    expect([count(''), count('?min_version=1')]).toEqual([0, 1]);
    expect(fly.call('GET', '/v1/apps/one/secrets?min_version=2').status).toBe(408);
    const config = { image: 'nginx' };
    fly.call('POST', '/v1/apps/one/machines', { name: 'old', config });
    fly.call('POST', '/v1/apps/one/machines', { name: 'new', config, min_secrets_version: 1 });
    fly.pass(1);
    const { machines } = fly.control('GET', '/world').json.apps.one;
    expect(machines.map((one: { secrets_version: number }) => one.secrets_version)).toEqual([0, 1]);
    expect(fly.call('POST', '/v1/apps/one/machines', { config, min_secrets_version: 9 }).status).toBe(412);
  });
});
