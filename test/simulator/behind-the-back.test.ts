import { describe, expect, it } from 'vitest';
import { createTenant, createVirtualFly, sleepyService } from './support/virtual-fly.ts';

const AUTOSTOP_MS = 180_000;

function state(fly: ReturnType<typeof createVirtualFly>, base: string): unknown {
  return fly.call('GET', base).json.state;
}

describe('the proxy', () => {
  it('suspends an idle machine at its second look, and wakes it by a request', () => {
    const fly = createVirtualFly({ autostopEveryMs: AUTOSTOP_MS });
    const { app, base, version } = createTenant(fly, { config: { services: [sleepyService] } });
    expect(state(fly, base)).toBe('started');
    fly.pass(2 * AUTOSTOP_MS);
    expect(state(fly, base)).toBe('suspended');
    expect(fly.control('POST', '/proxy', { app, action: 'request' }).json).toMatchObject({
      status: 200,
      woke: true,
    });
    expect(fly.call('GET', base).json).toMatchObject({ state: 'started', instance_id: version });
    expect(fly.control('POST', '/proxy', { app, action: 'request' }).json).toMatchObject({
      status: 200,
      woke: false,
    });
  });

  it('stops where the services say stop, or where suspending is not possible', () => {
    const fly = createVirtualFly();
    const stopping = createTenant(fly, {
      app: 'a',
      config: { services: [{ ...sleepyService, autostop: 'stop' }] },
    });
    const large = createTenant(fly, {
      app: 'b',
      config: { services: [sleepyService], guest: { cpus: 2, memory_mb: 4096 } },
    });
    for (const { app, base } of [stopping, large]) {
      expect(fly.control('POST', '/proxy', { app, action: 'stop' }).json.how).toBe('stop');
      expect(state(fly, base)).toBe('stopped');
    }
  });

  it.each([
    ['has no services', {}],
    ['has a service that must not stop', { services: [{ ...sleepyService, autostop: false }] }],
    ['is protected by min_machines_running', { services: [{ ...sleepyService, min_machines_running: 1 }] }],
  ])('leaves a machine alone that %s', (_, config) => {
    const fly = createVirtualFly({ autostopEveryMs: AUTOSTOP_MS });
    const { app, base } = createTenant(fly, { config });
    expect(fly.control('POST', '/proxy', { app, action: 'stop' }).json).toEqual({ machine: null, how: null });
    fly.pass(5 * AUTOSTOP_MS);
    expect(state(fly, base)).toBe('started');
  });

  it('leaves a machine alone that is asked for things', () => {
    const fly = createVirtualFly({ autostopEveryMs: AUTOSTOP_MS });
    const { app, base } = createTenant(fly, { config: { services: [sleepyService] } });
    for (let look = 0; look < 5; look++) {
      fly.pass(AUTOSTOP_MS - 1000);
      fly.control('POST', '/proxy', { app, action: 'request' });
    }
    expect(state(fly, base)).toBe('started');
  });

  it('puts at most one machine of a region to sleep at a look', () => {
    const fly = createVirtualFly({ autostopEveryMs: AUTOSTOP_MS });
    const config = { services: [sleepyService] };
    const { app } = createTenant(fly, { withVolume: false, config });
    for (const name of ['b', 'c'])
      fly.call('POST', `/v1/apps/${app}/machines`, {
        name,
        region: 'iad',
        config: { image: 'nginx', ...config },
      });
    const asleep = (): number =>
      fly.call('GET', `/v1/apps/${app}/machines?state=suspended`).json.length as number;
    const counts = Array.from({ length: 5 }, () => {
      fly.pass(AUTOSTOP_MS);
      return asleep();
    });
    expect(counts).toEqual([0, 1, 2, 3, 3]);
  });

  it('does not wake a machine without autostart', () => {
    const fly = createVirtualFly();
    const { app, base } = createTenant(fly, {
      config: { services: [{ ...sleepyService, autostart: false }] },
    });
    fly.call('POST', `${base}/suspend`);
    expect(fly.control('POST', '/proxy', { app, action: 'request' }).json).toMatchObject({
      status: 503,
      woke: false,
    });
    expect(state(fly, base)).toBe('suspended');
  });

  it('cannot put to sleep or wake a machine whose lease somebody holds', () => {
    const fly = createVirtualFly();
    const { app, base } = createTenant(fly, { config: { services: [sleepyService] } });
    const { nonce } = fly.call('POST', `${base}/lease`, { ttl: 60 }).json.data;
    expect(fly.control('POST', '/proxy', { app, action: 'stop' }).json.machine).toBeNull();
    fly.call('POST', `${base}/suspend`, undefined, { 'fly-machine-lease-nonce': nonce });
    fly.pass(1);
    expect(fly.control('POST', '/proxy', { app, action: 'request' }).json).toMatchObject({
      status: 503,
      woke: false,
      why: expect.stringContaining('lease'),
    });
    expect(fly.call('GET', `/api/v1/apps/${app}/logs`).json.data.at(-1).attributes.message).toContain(
      '[PM01]',
    );
  });
});

describe('somebody else', () => {
  it('destroys a machine, also one with a lease', () => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly);
    fly.call('POST', `${base}/lease`, { ttl: 60 });
    expect(fly.control('POST', `/machines/${machine}/destroy`).status).toBe(202);
    expect(state(fly, base)).toBe('destroyed');
    expect(fly.control('POST', `/machines/${machine}/destroy`).status).toBe(404);
  });

  it('destroys a volume, also one that is bound', () => {
    const fly = createVirtualFly();
    const { app, volume } = createTenant(fly);
    expect(fly.control('POST', `/volumes/${volume}/destroy`).status).toBe(202);
    expect(fly.call('GET', `/v1/apps/${app}/volumes/${volume}`).json.state).toBe('pending_destroy');
  });

  it('migrates a machine to another host, volume and address, with the same id', () => {
    const fly = createVirtualFly({ latency: { kinds: { call: 0, lag: 0 } } });
    const { app, base, machine, volume } = createTenant(fly);
    const before = fly.call('GET', base).json;
    fly.control('POST', `/machines/${machine}/migrate`);
    expect(fly.call('GET', base).json.events[0]).toMatchObject({
      type: 'launch',
      status: 'created',
      source: 'flyd',
    });
    fly.pass(60_000);
    const after = fly.call('GET', base).json;
    expect(after).toMatchObject({
      id: before.id,
      name: before.name,
      state: 'started',
      instance_id: before.instance_id,
    });
    expect(after.private_ip).not.toBe(before.private_ip);
    expect(after.config.mounts[0].volume).not.toBe(volume);
    const volumes = fly
      .call('GET', `/v1/apps/${app}/volumes`)
      .json.map((row: { id: string; state: string; attached_machine_id: string }) => [
        row.id,
        row.state,
        row.attached_machine_id,
      ]);
    expect(volumes).toEqual([
      [volume, 'pending_destroy', null],
      [after.config.mounts[0].volume, 'created', machine],
    ]);
  });

  it('makes the health checks fail', () => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly, { config: { checks: { up: { type: 'tcp', port: 80 } } } });
    const status = (): unknown => fly.call('GET', base).json.checks[0].status;
    fly.control('POST', `/machines/${machine}/checks`, { status: 'critical' });
    expect(status()).toBe('critical');
    fly.control('POST', `/machines/${machine}/checks`, { status: null });
    expect(status()).toBe('passing');
  });
});

describe('a process that exits', () => {
  function crash(fly: ReturnType<typeof createVirtualFly>, machine: string, body: object = {}): void {
    expect(fly.control('POST', `/machines/${machine}/crash`, body).status).toBe(202);
  }

  it('is restarted after a failure by default, with an exit event that tells it', () => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly);
    crash(fly, machine, { exit_code: 137, oom_killed: true });
    const { events, state: after } = fly.call('GET', base).json;
    expect(after).toBe('started');
    expect(events[1]).toMatchObject({
      type: 'exit',
      request: { exit_event: { exit_code: 137, oom_killed: true, restarting: true }, restart_count: 1 },
    });
  });

  it.each([
    ['stays down after success', {}, 0, 'stopped'],
    ['comes back after success with policy always', { restart: { policy: 'always' } }, 0, 'started'],
    ['stays down with policy no', { restart: { policy: 'no' } }, 1, 'stopped'],
    ['is destroyed with auto_destroy', { restart: { policy: 'no' }, auto_destroy: true }, 1, 'destroyed'],
  ])('%s', (_, config, exitCode, after) => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly, { config });
    crash(fly, machine, { exit_code: exitCode });
    expect(state(fly, base)).toBe(after);
  });

  it('stays down after too many failures within five minutes', () => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly, {
      config: { restart: { policy: 'on-failure', max_retries: 2 } },
    });
    const states = Array.from({ length: 3 }, () => {
      crash(fly, machine);
      return state(fly, base);
    });
    expect(states).toEqual(['started', 'started', 'stopped']);
  });

  it('is forgiven after five minutes', () => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly, {
      config: { restart: { policy: 'on-failure', max_retries: 1 } },
    });
    crash(fly, machine);
    fly.pass(300_000);
    crash(fly, machine);
    expect(state(fly, base)).toBe('started');
  });

  it('must run before it can crash', () => {
    const fly = createVirtualFly();
    const { base, machine } = createTenant(fly);
    fly.call('POST', `${base}/suspend`);
    fly.pass(1);
    expect(fly.control('POST', `/machines/${machine}/crash`, {}).status).toBe(412);
  });
});
