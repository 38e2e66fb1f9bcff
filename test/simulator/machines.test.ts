import { describe, expect, it } from 'vitest';
import { createTenant, createVirtualFly, sleepyService, smallConfig } from './support/virtual-fly.ts';

describe('creating a machine', () => {
  it('goes through created and starting to started, each as long as was drawn', () => {
    const fly = createVirtualFly({
      latency: { ranges: { prepare: [500, 500], boot: [1000, 1000] }, kinds: { call: 0, lag: 0 } },
    });
    fly.call('POST', '/v1/apps', { app_name: 'one', org_slug: 'o' });
    const { json } = fly.call('POST', '/v1/apps/one/machines', { name: 'm', config: smallConfig });
    const state = (): string => String(fly.call('GET', `/v1/apps/one/machines/${json.id}`).json.state);
    expect(json).toMatchObject({
      state: 'created',
      events: [{ type: 'launch', status: 'created', source: 'user' }],
    });
    fly.pass(499);
    expect(state()).toBe('created');
    fly.pass(1);
    expect(state()).toBe('starting');
    fly.pass(999);
    expect(state()).toBe('starting');
    fly.pass(1);
    expect(state()).toBe('started');
  });

  it('refuses a second machine of the name and tells the id of the first', () => {
    const fly = createVirtualFly();
    const { app, machine } = createTenant(fly);
    const { status, json } = fly.call('POST', `/v1/apps/${app}/machines`, { name: app, config: smallConfig });
    expect({ status, json }).toEqual({
      status: 409,
      json: {
        error: `already_exists: unique machine name violation, machine ID ${machine} already exists with name "${app}"`,
      },
    });
  });

  it('takes the name of a machine that was destroyed', () => {
    const fly = createVirtualFly();
    const { app, base } = createTenant(fly, { withVolume: false });
    fly.call('DELETE', `${base}?force=true`);
    expect(fly.call('POST', `/v1/apps/${app}/machines`, { name: app, config: smallConfig }).status).toBe(200);
  });

  it('stays created with skip_launch, and refuses to start before its image is prepared', () => {
    const fly = createVirtualFly({
      latency: { ranges: { prepareUnlaunched: [9000, 9000] }, kinds: { call: 0, lag: 0 } },
    });
    fly.call('POST', '/v1/apps', { app_name: 'one', org_slug: 'o' });
    const { json } = fly.call('POST', '/v1/apps/one/machines', { config: smallConfig, skip_launch: true });
    const base = `/v1/apps/one/machines/${json.id}`;
    fly.pass(8_999);
    expect(fly.call('POST', `${base}/start`)).toMatchObject({
      status: 412,
      json: { error: "failed_precondition: unable to start machine from current state: 'created'" },
    });
    fly.pass(1);
    expect(fly.call('POST', `${base}/start`).json).toEqual({
      previous_state: 'created',
      migrated: false,
      new_host: '',
    });
    expect(fly.call('GET', `${base}/wait?state=started`).status).toBe(200);
  });

  it.each([
    ['an image', { config: { guest: {} } }, 'config.image'],
    [
      'a size that exists',
      { config: { ...smallConfig, guest: { cpus: 3 } } },
      'shared machines cannot have 3 cpus',
    ],
    ['a step of 256 MB', { config: { ...smallConfig, guest: { memory_mb: 300 } } }, 'multiple of 256'],
    [
      'enough memory for its cpus',
      { config: { ...smallConfig, guest: { cpus: 2, memory_mb: 256 } } },
      'between 512',
    ],
    ['a region that exists', { region: 'atlantis', config: smallConfig }, 'region "atlantis" not found'],
    [
      'an absolute mount path',
      { config: { ...smallConfig, mounts: [{ volume: 'v', path: 'data' }] } },
      'absolute',
    ],
    [
      'a volume that exists',
      { config: { ...smallConfig, mounts: [{ volume: 'v', path: '/d' }] } },
      'volume not found',
    ],
    [
      'one mount at most',
      {
        config: {
          ...smallConfig,
          mounts: [
            { volume: 'a', path: '/a' },
            { volume: 'b', path: '/b' },
          ],
        },
      },
      'at most one',
    ],
    [
      'a duration that Go can read',
      { config: { ...smallConfig, stop_config: { timeout: 'soon' } } },
      'invalid duration',
    ],
    ['JSON', '{"config":', 'not valid JSON'],
  ])('wants %s', (_, body, cause) => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { app_name: 'one', org_slug: 'o' });
    const { status, json } = fly.call('POST', '/v1/apps/one/machines', body);
    expect({ status, error: json.error }).toEqual({ status: 400, error: expect.stringContaining(cause) });
    expect(fly.call('GET', '/v1/apps/one/machines').json).toEqual([]);
  });

  it('answers the config as Fly keeps it', () => {
    const fly = createVirtualFly();
    const { base, volume } = createTenant(fly, {
      config: {
        services: [
          {
            ...sleepyService,
            autostop: 'off',
            checks: [{ type: 'http', interval: '60s', timeout: 1_500_000_000 }],
          },
          { internal_port: 81, autostop: 'stop' },
          { internal_port: 82, autostop: 'suspend' },
        ],
        env: null,
        stop_config: { timeout: '90s' },
        unheard_of: true,
      },
    });
    const { config } = fly.call('GET', base).json;
    expect(config.services.map(({ autostop }: { autostop: unknown }) => autostop)).toEqual([
      false,
      true,
      'suspend',
    ]);
    expect(config.services[0].checks).toEqual([{ type: 'http', interval: '1m0s', timeout: '1.5s' }]);
    expect(config).toMatchObject({
      dns: {},
      guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
      stop_config: { timeout: '1m30s' },
    });
    expect(config.mounts).toEqual([{ volume, path: '/data', name: 'data', size_gb: 1, encrypted: true }]);
    expect(config).not.toHaveProperty('env');
    expect(config).not.toHaveProperty('unheard_of');
  });

  it('understands region expressions and size presets', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { app_name: 'one', org_slug: 'o' });
    fly.control('POST', '/regions/lhr', { capacity: 'none' });
    const made = fly.call('POST', '/v1/apps/one/machines', {
      region: 'lhr,eu',
      config: { image: 'nginx', size: 'performance-2x' },
    }).json;
    expect(made).toMatchObject({
      region: 'ams',
      config: { guest: { cpu_kind: 'performance', cpus: 2, memory_mb: 4096 } },
      image_ref: { registry: 'registry-1.docker.io', repository: 'nginx', tag: 'latest' },
    });
  });
});

describe('health checks', () => {
  it('have no result, then fail, then pass some time after the start', () => {
    const fly = createVirtualFly({
      latency: { ranges: { checkResult: [1000, 1000] }, kinds: { call: 0, lag: 0 }, factor: 1 },
    });
    const { base } = createTenant(fly, {
      withVolume: false,
      config: {
        checks: { up: { type: 'tcp', port: 80 } },
        services: [{ internal_port: 80, checks: [{ type: 'http' }] }],
      },
    });
    fly.call('POST', `${base}/restart`);
    fly.call('GET', `${base}/wait?state=started`);
    const checks = (): unknown =>
      fly
        .call('GET', base)
        .json.checks.map((check: { name: string; status: string }) => [check.name, check.status]);
    expect(checks()).toEqual([]);
    fly.pass(1000);
    expect(checks()).toEqual([
      ['up', 'critical'],
      ['servicecheck-00-http-80', 'critical'],
    ]);
    fly.pass(1000);
    expect(checks()).toEqual([
      ['up', 'passing'],
      ['servicecheck-00-http-80', 'passing'],
    ]);
  });
});

describe('updating a machine', () => {
  it('makes a new version and replaces the old one', () => {
    const fly = createVirtualFly();
    const { base, version } = createTenant(fly);
    const { config } = fly.call('GET', base).json;
    const { json } = fly.call('POST', base, {
      config: { ...config, env: { A: '1' } },
      current_version: version,
    });
    expect(json).toMatchObject({ state: 'replacing', config: { env: { A: '1' } } });
    expect(json.instance_id).not.toBe(version);
    expect(json.events[0]).toMatchObject({ type: 'update', status: 'replacing', source: 'user' });
    expect(fly.call('GET', base).json).toMatchObject({ state: 'started', instance_id: json.instance_id });
    expect(fly.call('GET', `${base}/versions`).json).toHaveLength(2);
  });

  it('refuses a change that was planned against another version', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const { config } = fly.call('GET', base).json;
    expect(fly.call('POST', base, { config, current_version: '01KD0000000000000000000000' })).toMatchObject({
      status: 409,
      json: { error: 'aborted: machine update failed due to concurrent update' },
    });
  });

  it('refuses a second update before the first has settled, and a start during it', () => {
    const fly = createVirtualFly({ latency: { kinds: { call: 0, lag: 0 } } });
    const { base } = createTenant(fly);
    const { config } = fly.call('GET', base).json;
    fly.call('POST', base, { config });
    expect(fly.call('POST', base, { config })).toMatchObject({
      status: 409,
      json: { error: 'aborted: machine is replacing: concurrent update in progress' },
    });
    expect(fly.call('POST', `${base}/start`)).toMatchObject({
      status: 412,
      json: { error: 'failed_precondition: machine getting replaced, refusing to start' },
    });
    expect(fly.call('GET', `${base}/wait?state=settled`).json).toMatchObject({ state: 'started' });
    expect(fly.call('POST', base, { config }).status).toBe(200);
  });

  it.each([
    ['started', undefined, false, 'started'],
    ['started', undefined, true, 'stopped'],
    ['stopped', 'stop', true, 'stopped'],
    ['stopped', 'stop', false, 'started'],
    ['suspended', 'suspend', true, 'stopped'],
    ['suspended', 'suspend', false, 'started'],
  ])('of a %s machine (%s) with skip_launch %s ends in %s', (before, action, skipLaunch, after) => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    if (action !== undefined) fly.call('POST', `${base}/${action}`);
    const { state, config } = fly.call('GET', base).json;
    expect(state).toBe(before);
    fly.call('POST', base, { config, skip_launch: skipLaunch });
    expect(fly.call('GET', base).json.state).toBe(after);
  });

  it('keeps a created machine created with skip_launch', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { app_name: 'one', org_slug: 'o' });
    const { json } = fly.call('POST', '/v1/apps/one/machines', { config: smallConfig, skip_launch: true });
    const base = `/v1/apps/one/machines/${json.id}`;
    fly.call('POST', base, { config: smallConfig, skip_launch: true });
    expect(fly.call('GET', base).json.state).toBe('created');
  });

  it('refuses another mount, and takes another path', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    const { config } = fly.call('GET', base).json;
    expect(fly.call('POST', base, { config: { ...config, mounts: [] } })).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('cannot be added, removed or changed') },
    });
    const mounts = [{ ...config.mounts[0], path: '/elsewhere' }];
    expect(fly.call('POST', base, { config: { ...config, mounts } }).json.config.mounts[0].path).toBe(
      '/elsewhere',
    );
  });
});

describe('acting on a machine', () => {
  it('stops within the grace period, and refuses to start while the last run is not over', () => {
    const fly = createVirtualFly({
      latency: { ranges: { stop: [20_000, 20_000], stopSettle: [8000, 8000] }, kinds: { call: 0, lag: 0 } },
    });
    const { base } = createTenant(fly);
    fly.call('POST', `${base}/stop`, { timeout: '3s' });
    fly.pass(3000);
    const stopped = fly.call('GET', base).json;
    expect(stopped.state).toBe('stopped');
    expect(stopped.events[0]).toMatchObject({
      type: 'exit',
      status: 'stopped',
      request: { exit_event: { requested_stop: true } },
    });
    expect(fly.call('POST', `${base}/start`)).toMatchObject({
      status: 412,
      json: { error: 'failed_precondition: machine still active, refusing to start' },
    });
    fly.pass(8000);
    expect(fly.call('POST', `${base}/start`).status).toBe(200);
    expect(fly.call('POST', `${base}/start`)).toMatchObject({
      status: 409,
      json: { error: 'aborted: machine still attempting to start' },
    });
  });

  it('stops what is stopped and suspends what is suspended without complaint', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    for (const action of ['suspend', 'suspend', 'stop', 'stop'])
      expect(fly.call('POST', `${base}/${action}`).status).toBe(200);
    expect(fly.call('GET', base).json.state).toBe('stopped');
  });

  it('refuses an array as the body of stop, and a grace period beyond five minutes', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    expect(fly.call('POST', `${base}/stop`, []).status).toBe(400);
    expect(fly.call('POST', `${base}/stop`, { timeout: '6m' }).status).toBe(400);
    expect(fly.call('GET', base).json.state).toBe('started');
  });

  it.each([
    ['more than 2 GB of memory', { guest: { cpus: 2, memory_mb: 4096 } }],
    ['swap', { init: { swap_size_mb: 512 } }],
    ['a schedule', { schedule: 'daily' }],
  ])('refuses to suspend a machine with %s', (_, config) => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly, { config });
    expect(fly.call('POST', `${base}/suspend`).status).toBe(412);
  });

  it('resumes a suspended machine without starting it anew', () => {
    const fly = createVirtualFly();
    const { app, base } = createTenant(fly);
    fly.call('POST', `${base}/suspend`);
    fly.call('POST', `/v1/apps/${app}/secrets`, { values: { A: '1' } });
    fly.call('POST', `${base}/start`);
    fly.call('GET', `${base}/wait?state=started`);
    const seen = (): unknown => fly.control('GET', '/world').json.apps[app].machines[0].secrets_version;
    expect(seen()).toBe(0);
    fly.call('POST', `${base}/restart`);
    fly.call('GET', `${base}/wait?state=started`);
    expect(seen()).toBe(1);
  });

  it('destroys a running machine only with force', () => {
    const fly = createVirtualFly();
    const { app, base } = createTenant(fly);
    expect(fly.call('DELETE', base)).toMatchObject({
      status: 412,
      json: {
        error:
          'failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created',
      },
    });
    expect(fly.call('DELETE', `${base}?force=true`).status).toBe(200);
    expect(fly.call('GET', base).json.state).toBe('destroyed');
    expect(fly.call('GET', `/v1/apps/${app}/machines`).json).toEqual([]);
    expect(fly.call('GET', `/v1/apps/${app}/machines?include_deleted=true`).json).toHaveLength(1);
    expect(fly.call('DELETE', base).status).toBe(404);
    expect(fly.call('POST', `${base}/start`).status).toBe(404);
  });

  it('forgets a destroyed machine after an hour', () => {
    const fly = createVirtualFly();
    const { base } = createTenant(fly);
    fly.call('DELETE', `${base}?kill=true`);
    fly.pass(3_599_999);
    expect(fly.call('GET', base).status).toBe(200);
    fly.pass(1);
    expect(fly.call('GET', base).status).toBe(404);
  });
});

describe('metadata', () => {
  it('is merged without a new version, and refused against another one', () => {
    const fly = createVirtualFly();
    const { base, version } = createTenant(fly, { config: { metadata: { a: '1', b: '2', c: '3' } } });
    expect(
      fly.call('PATCH', `${base}/metadata`, {
        machine_version: version,
        metadata: { a: '9', b: null, c: '' },
      }).status,
    ).toBe(204);
    expect(fly.call('GET', `${base}/metadata`).json).toEqual({ a: '9' });
    expect(fly.call('GET', base).json).toMatchObject({ instance_id: version, state: 'started' });
    expect(
      fly.call('PUT', `${base}/metadata`, { machine_version: 'other', metadata: { a: '0' } }).status,
    ).toBe(412);
    expect(fly.call('GET', `${base}/metadata/a`).json).toEqual({ value: '9' });
    expect(fly.call('GET', `${base}/metadata/b`).status).toBe(404);
  });

  it('filters lists when all given keys match', () => {
    const fly = createVirtualFly();
    const { app } = createTenant(fly, { config: { metadata: { a: '1', b: '2' } } });
    const count = (query: string): unknown =>
      fly.call('GET', `/v1/apps/${app}/machines?${query}`).json.length;
    expect([
      count('metadata.a=1&metadata.b=2'),
      count('metadata.a=1&metadata.b=3'),
      count('state=stopped'),
    ]).toEqual([1, 0, 0]);
  });
});
