import { describe, expect, it } from 'vitest';
import { createTenant, createVirtualFly, smallConfig } from './support/virtual-fly.ts';

describe('a volume', () => {
  it('has Fly’s defaults and reports no blocks before it was mounted', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    expect(fly.call('POST', '/v1/apps/one/volumes', { name: 'data', region: 'fra' }).json).toMatchObject({
      id: expect.stringMatching(/^vol_[a-z0-9]{16}$/),
      size_gb: 3,
      region: 'fra',
      zone: expect.stringMatching(/^[0-9a-f]{4}$/),
      encrypted: true,
      attached_machine_id: null,
      blocks: 0,
      fstype: '',
      snapshot_retention: 5,
      auto_backup_enabled: true,
    });
  });

  it('grows and never shrinks, one change at a time', () => {
    const fly = createVirtualFly({
      latency: { ranges: { volumeExtend: [1000, 1000] }, kinds: { call: 0, lag: 0 } },
    });
    const { app, volume } = createTenant(fly);
    const extend = (size: number) =>
      fly.call('PUT', `/v1/apps/${app}/volumes/${volume}/extend`, { size_gb: size });
    expect(extend(4).json).toMatchObject({
      needs_restart: false,
      volume: { size_gb: 4, state: 'extending' },
    });
    expect(extend(5).status).toBe(412);
    fly.pass(1000);
    expect(fly.call('GET', `/v1/apps/${app}/volumes/${volume}`).json.state).toBe('created');
    expect(extend(3).status).toBe(400);
    expect(extend(501).status).toBe(400);
  });

  it('says that it needs a restart where the host says so', () => {
    const fly = createVirtualFly();
    const { app, volume } = createTenant(fly);
    const { zone } = fly.call('GET', `/v1/apps/${app}/volumes/${volume}`).json;
    fly.control('POST', `/hosts/${zone}`, { extend_needs_restart: true });
    expect(
      fly.call('PUT', `/v1/apps/${app}/volumes/${volume}/extend`, { size_gb: 2 }).json.needs_restart,
    ).toBe(true);
  });

  it('stays bound for a while after its machine is gone, and cannot be deleted or mounted meanwhile', () => {
    const fly = createVirtualFly({
      latency: { ranges: { volumeUnbind: [45_000, 45_000] }, kinds: { call: 0, lag: 0 } },
    });
    const { app, base, machine, volume } = createTenant(fly);
    const at = `/v1/apps/${app}/volumes/${volume}`;
    const bound = { error: `failed_precondition: volume is currently bound to machine: ${machine}` };
    expect(fly.call('DELETE', at)).toMatchObject({ status: 412, json: bound });
    fly.call('DELETE', `${base}?force=true`);
    fly.call('GET', `${base}/wait?state=destroyed`);
    fly.pass(44_000);
    expect(fly.call('DELETE', at)).toMatchObject({ status: 412, json: bound });
    const config = { ...smallConfig, mounts: [{ volume, path: '/data' }] };
    expect(fly.call('POST', `/v1/apps/${app}/machines`, { config })).toMatchObject({
      status: 412,
      json: bound,
    });
    fly.pass(1_000);
    expect(fly.call('POST', `/v1/apps/${app}/machines`, { config }).status).toBe(200);
  });

  it('stays listed for a day after it was deleted', () => {
    const fly = createVirtualFly({
      latency: { ranges: { volumeDestroy: [1000, 1000] }, kinds: { call: 0, lag: 0 } },
    });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const { id } = fly.call('POST', '/v1/apps/one/volumes', { name: 'data', region: 'fra' }).json;
    const states = (): unknown =>
      fly.call('GET', '/v1/apps/one/volumes').json.map(({ state }: { state: string }) => state);
    fly.call('DELETE', `/v1/apps/one/volumes/${id}`);
    expect(states()).toEqual(['scheduling_destroy']);
    fly.pass(1000);
    expect(states()).toEqual(['pending_destroy']);
    expect(fly.call('DELETE', `/v1/apps/one/volumes/${id}`).status).toBe(404);
    expect(fly.call('PUT', `/v1/apps/one/volumes/${id}/extend`, { size_gb: 9 }).status).toBe(404);
    expect(
      fly.call('POST', '/v1/apps/one/machines', {
        config: { ...smallConfig, mounts: [{ volume: id, path: '/d' }] },
      }).json.error,
    ).toBe('volume not found');
    fly.pass(24 * 3_600_000);
    expect(states()).toEqual([]);
  });

  it('lies in a zone of its own among those of its name, as long as there are any', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const create = (more = {}) =>
      fly.call('POST', '/v1/apps/one/volumes', { name: 'data', region: 'fra', ...more });
    const zones = Array.from({ length: 8 }, () => String(create().json.zone));
    expect(new Set(zones).size).toBe(8);
    expect(create()).toMatchObject({ status: 422, json: { status: 'insufficient_capacity' } });
    expect(create({ require_unique_zone: false }).status).toBe(200);
  });

  it.each([
    ['without a name', {}],
    ['of no size', { name: 'data', size_gb: 0 }],
    ['beyond 500 GB', { name: 'data', size_gb: 501 }],
    ['kept for a year', { name: 'data', snapshot_retention: 365 }],
  ])('%s is refused', (_, body) => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    expect(fly.call('POST', '/v1/apps/one/volumes', { region: 'iad', ...body }).status).toBe(400);
  });

  it('is not made from a snapshot, and says so', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    expect(fly.call('POST', '/v1/apps/one/volumes', { name: 'data', snapshot_id: 'vs_1' })).toMatchObject({
      status: 501,
      json: { error: expect.stringContaining('not simulated: Volumes_create') },
    });
  });
});

describe('capacity', () => {
  it('that a region lacks is refused for machines and volumes in Fly’s words', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    fly.control('POST', '/regions/gru', { capacity: 'none' });
    expect(fly.call('POST', '/v1/apps/one/machines', { region: 'gru', config: smallConfig })).toMatchObject({
      status: 422,
      json: { error: 'could not find a candidate host', status: 'insufficient_capacity' },
    });
    expect(fly.call('POST', '/v1/apps/one/volumes', { name: 'd', region: 'gru' })).toMatchObject({
      status: 409,
      json: { error: 'aborted: no capacity' },
    });
    fly.control('POST', '/regions/gru', { capacity: 'ok' });
    expect(fly.call('POST', '/v1/apps/one/volumes', { name: 'd', region: 'gru' }).status).toBe(200);
  });

  it('that the organisation may not use is 403', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    fly.control('POST', '/regions/iad', { capacity: 'quota' });
    const { status, json } = fly.call('POST', '/v1/apps/one/machines', {
      region: 'iad',
      config: smallConfig,
    });
    expect({ status, error: json.error }).toEqual({
      status: 403,
      error: expect.stringContaining('over the allowed quota'),
    });
  });

  it('that the volume’s host lacks is 412 to a new machine and 409 to one that grows', () => {
    const fly = createVirtualFly();
    const { app, base, volume } = createTenant(fly);
    const { zone } = fly.call('GET', `/v1/apps/${app}/volumes/${volume}`).json;
    const other = fly.call('POST', `/v1/apps/${app}/volumes`, {
      name: 'more',
      region: 'iad',
      require_unique_zone: false,
    }).json;
    fly.control('POST', `/hosts/${zone}`, { full: true });
    fly.control('POST', `/hosts/${other.zone}`, { full: true });
    expect(
      fly.call('POST', `/v1/apps/${app}/machines`, {
        config: { ...smallConfig, mounts: [{ volume: other.id, path: '/d' }] },
      }),
    ).toMatchObject({
      status: 412,
      json: {
        error: `insufficient resources to create new machine with existing volume id '${other.id}'`,
        status: 'volume_placement_capacity',
      },
    });
    const { config, instance_id: version } = fly.call('GET', base).json;
    const grown = { ...config, guest: { memory_mb: 1024 } };
    expect(fly.call('POST', base, { config: grown })).toMatchObject({
      status: 409,
      json: {
        error: expect.stringContaining(
          'aborted: could not reserve resource for machine: insufficient memory',
        ),
      },
    });
    expect(fly.call('GET', base).json).toMatchObject({ instance_id: version, state: 'started' });
    expect(fly.call('POST', base, { config: { ...config, env: { A: '1' } } }).status).toBe(200);
  });
});

describe('a host that does not answer', () => {
  it('hides the config, refuses changes, and lets a person destroy nothing', () => {
    const fly = createVirtualFly();
    const { app, base, volume } = createTenant(fly);
    const { zone } = fly.call('GET', `/v1/apps/${app}/volumes/${volume}`).json;
    fly.control('POST', `/hosts/${zone}`, { status: 'unreachable' });
    const seen = fly.call('GET', base).json;
    expect(seen).toMatchObject({
      host_status: 'unreachable',
      incomplete_config: { image: smallConfig.image },
    });
    expect(seen).not.toHaveProperty('config');
    expect(fly.call('GET', `/v1/apps/${app}/volumes/${volume}`).json.host_status).toBe('unreachable');
    expect(fly.call('POST', `${base}/stop`).status).toBe(408);
    fly.control('POST', `/hosts/${zone}`, { status: 'ok' });
    expect(fly.call('GET', base).json).toMatchObject({
      host_status: 'ok',
      config: { image: smallConfig.image },
    });
  });

  it('is a host that exists', () => {
    expect(createVirtualFly().control('POST', '/hosts/zzzz', { full: true }).status).toBe(404);
  });
});

describe('lists', () => {
  it('show a machine, its changes and its volume’s binding only after their lag', () => {
    const fly = createVirtualFly({
      latency: { ranges: { list: [2000, 2000], getAfterCreate: [0, 0] }, kinds: { call: 0, transition: 0 } },
    });
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const { id: volume } = fly.call('POST', '/v1/apps/one/volumes', { name: 'data', region: 'iad' }).json;
    fly.pass(2000);
    const { id } = fly.call('POST', '/v1/apps/one/machines', {
      config: { ...smallConfig, mounts: [{ volume, path: '/d' }] },
    }).json;
    const listed = (): unknown => [
      fly.call('GET', '/v1/apps/one/machines').json.map(({ state }: { state: string }) => state),
      fly.call('GET', '/v1/orgs/o/machines').json.machines.map(({ state }: { state: string }) => state),
      fly.call('GET', '/v1/apps/one/volumes').json[0].attached_machine_id,
    ];
    fly.pass(1999);
    expect(fly.call('GET', `/v1/apps/one/machines/${id}`).json.state).toBe('started');
    expect(listed()).toEqual([[], [], null]);
    fly.pass(1);
    expect(listed()).toEqual([['started'], ['started'], id]);
    fly.call('POST', `/v1/apps/one/machines/${id}/suspend`);
    fly.pass(1000);
    expect(listed()).toEqual([['started'], ['started'], id]);
    fly.pass(1000);
    expect(listed()).toEqual([['suspended'], ['suspended'], id]);
  });

  it('of the organisation come oldest change first, in pages that miss nothing and repeat nothing', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const ids = Array.from({ length: 7 }, () => {
      fly.pass(10);
      return String(
        fly.call('POST', '/v1/apps/one/machines', { config: smallConfig, skip_launch: true }).json.id,
      );
    });
    const seen: string[] = [];
    let cursor = '';
    for (let page = 0; page < 7; page++) {
      const { json } = fly.call('GET', `/v1/orgs/o/machines?limit=3&cursor=${cursor}`);
      seen.push(...json.machines.map((row: { id: string }) => row.id));
      if (json.next_cursor === undefined) break;
      cursor = String(json.next_cursor);
    }
    expect(seen).toEqual(ids);
  });

  it('of the organisation give only what changed after a time, and deleted things only when asked', () => {
    const fly = createVirtualFly();
    const { app, base, machine } = createTenant(fly);
    const rows = (query: string): unknown =>
      fly
        .call('GET', `/v1/orgs/systemprompt/machines?${query}`)
        .json.machines.map((row: { id: string; state: string }) => [row.id, row.state]);
    const after = encodeURIComponent(new Date(fly.now()).toISOString());
    expect(rows(`updated_after=${after}`)).toEqual([]);
    fly.pass(5);
    fly.call('POST', `${base}/suspend`);
    fly.pass(1);
    expect(rows(`updated_after=${after}`)).toEqual([[machine, 'suspended']]);
    fly.call('DELETE', base);
    fly.pass(1);
    expect(rows(`updated_after=${after}`)).toEqual([]);
    expect(rows(`updated_after=${after}&include_deleted=true`)).toEqual([[machine, 'destroyed']]);
    expect(fly.call('GET', '/v1/orgs/elsewhere/machines').json.machines).toEqual([]);
    expect(app).toBe('one');
  });

  it('of the organisation name the regions that they lack', () => {
    const fly = createVirtualFly();
    createTenant(fly);
    fly.control('POST', '/regions/iad', { unlisted: true });
    expect(fly.call('GET', '/v1/orgs/systemprompt/machines').json).toMatchObject({
      machines: [],
      error_regions: ['iad'],
    });
  });

  it.each([['limit=0'], ['updated_after=yesterday'], ['cursor=nonsense']])(
    'of the organisation refuse %s',
    (query) => {
      expect(createVirtualFly().call('GET', `/v1/orgs/o/machines?${query}`).status).toBe(400);
    },
  );
});
