/** What goes over the wire for each operation, and what its answers become: facts 3 to 10 as a table. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fly } from '../../src/fly/fly.ts';
import { DELETED_VOLUME_STATES } from '../../src/fly/volumes.ts';
import { systemClock } from '../../src/clock.ts';
import { createTestFly, failureOf, verdictOf } from './support/client.ts';
import { send, startServer, type Answer, type TestServer } from './support/server.ts';

const signal = new AbortController().signal;
const MACHINE = {
  id: 'm1',
  name: 'web',
  state: 'started',
  region: 'iad',
  instance_id: '01KD',
  host_status: 'ok',
};
const VOLUME = { id: 'vol_1', name: 'data', state: 'created', size_gb: 1, region: 'iad' };
const LEASE = { nonce: 'n1', expires_at: 1_767_225_720, owner: 'a', description: 'd', version: '01KD' };

let server: TestServer;
let answer: Answer;
let fly: Fly;
beforeAll(async () => {
  server = await startServer((request, response) => answer(request, response));
});
afterAll(() => server.close());

interface Exchanged<T> {
  readonly request: string;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly result: T;
}

/** Makes one call with a new client, so that the limits of one case never delay another. */
async function exchange<T>(
  reply: { status?: number; body?: unknown },
  call: (fly: Fly) => Promise<T>,
): Promise<Exchanged<T>> {
  answer = (_, response) => send(response, reply.status ?? 200, reply.body);
  fly = createTestFly(server.url, { clock: systemClock });
  try {
    const result = await call(fly);
    const { method, url, body, headers } = server.requests[server.requests.length - 1]!;
    return { request: `${method} ${url}`, body: body === '' ? undefined : JSON.parse(body), headers, result };
  } finally {
    await fly.close();
  }
}

describe('apps', () => {
  test('have deploy tokens, which always end', async () => {
    const { request, body, result } = await exchange({ body: { token: 'FlyV1 fm2_abc' } }, (f) =>
      f.apps.createDeployToken('images', { expiryMs: 3_600_000 }, signal),
    );
    expect([request, body]).toEqual(['POST /v1/apps/images/deploy_token', { expiry: '3600s' }]);
    expect(result).toBe('FlyV1 fm2_abc');
  });

  test('are listed by organisation, and none is not an error', async () => {
    const { request, result } = await exchange({ body: { total_apps: 0, apps: null } }, (f) =>
      f.apps.list(signal),
    );
    expect(request).toBe('GET /v1/apps?org_slug=acme');
    expect(result).toEqual([]);
  });

  test('are not believed to be none when the answer does not speak of apps', async () => {
    const failure = await exchange({ body: {} }, (f) => failureOf(f.apps.list(signal)));
    expect(failure.result.reason).toBe('FlyUnintelligible');
  });

  test('are created with a network of their own when asked for', async () => {
    const { request, body, result } = await exchange(
      { status: 201, body: { id: 'a1', created_at: 1 } },
      (f) => f.apps.create({ name: 't-1' }, signal),
    );
    expect({ request, body, result }).toEqual({
      request: 'POST /v1/apps',
      body: { name: 't-1', org_slug: 'acme' },
      result: { id: 'a1' },
    });
  });

  test.each([202, 404])('are deleted with what runs in them; %d is success', async (status) => {
    const { request } = await exchange({ status }, (f) => f.apps.delete('t-1', signal));
    expect(request).toBe('DELETE /v1/apps/t-1?force=true');
  });
});

describe('machines', () => {
  const target = { app: 't-1', machineId: 'm1' };
  const held = { ...target, nonce: 'n1' };

  test('of a new app may not be known yet', async () => {
    const none = await exchange({ status: 404 }, (f) => f.machines.list('t-1', signal));
    expect([none.request, none.result]).toEqual(['GET /v1/apps/t-1/machines', undefined]);
    expect((await exchange({ body: null }, (f) => f.machines.list('t-1', signal))).result).toEqual([]);
  });

  test('are listed without the destroyed, and with those whose host is down and which have no config', async () => {
    const away = {
      ...MACHINE,
      id: 'm2',
      host_status: 'unreachable',
      config: null,
      incomplete_config: { image: 'i' },
    };
    const gone = { ...MACHINE, id: 'm3', state: 'destroyed' };
    const { result } = await exchange({ body: [MACHINE, away, gone] }, (f) => f.machines.list('t-1', signal));
    expect(result?.map(({ id }) => id)).toEqual(['m1', 'm2']);
    expect(result?.[1]).not.toHaveProperty('config');
    expect(result?.[1]?.incomplete_config).toEqual({ image: 'i' });
  });

  test('keep every field of their config, known or not', async () => {
    const config = { image: 'i', env: { A: '1' }, dns: {}, init: { swap_size_mb: null }, services: null };
    const { result } = await exchange({ body: { ...MACHINE, config, events: null } }, (f) =>
      f.machines.get(target, signal),
    );
    expect(result?.config).toEqual({ image: 'i', env: { A: '1' }, dns: {}, init: { swap_size_mb: null } });
    expect(result).not.toHaveProperty('events');
  });

  test('are created with the body as it was planned', async () => {
    const wanted = { name: 'web', region: 'iad', config: { image: 'i' }, skip_launch: true };
    const { request, body } = await exchange({ body: MACHINE }, (f) =>
      f.machines.create('t-1', wanted, signal),
    );
    expect({ request, body }).toEqual({ request: 'POST /v1/apps/t-1/machines', body: wanted });
  });

  test('that exist by that name already are named in the refusal', async () => {
    const error =
      'already_exists: unique machine name violation, machine ID m7 already exists with name "web"';
    const { result } = await exchange({ status: 409, body: { error } }, (f) =>
      failureOf(f.machines.create('t-1', { name: 'web', region: 'iad', config: {} }, signal)),
    );
    expect(result.details).toMatchObject({ kind: 'waiting', reason: 'AlreadyExists', existingId: 'm7' });
    expect(result.message).toBe(`cannot create machine "web": Fly answered 409: ${error}`);
  });

  test('are updated against a version and under a lease', async () => {
    const wanted = { config: { image: 'i' }, current_version: '01KD', skip_launch: true };
    const { request, body, headers } = await exchange({ body: MACHINE }, (f) =>
      f.machines.update(held, wanted, signal),
    );
    expect({ request, body }).toEqual({ request: 'POST /v1/apps/t-1/machines/m1', body: wanted });
    expect(headers['fly-machine-lease-nonce']).toBe('n1');
  });

  test.each(['start', 'stop', 'suspend', 'restart'] as const)(
    '%s under a lease, without a body',
    async (verb) => {
      const { request, body, headers } = await exchange({ body: { ok: true } }, (f) =>
        f.machines[verb](held, signal),
      );
      expect({ request, body }).toEqual({
        request: `POST /v1/apps/t-1/machines/m1/${verb}`,
        body: undefined,
      });
      expect(headers['fly-machine-lease-nonce']).toBe('n1');
    },
  );

  test('that hold no lease are changed without a nonce', async () => {
    const { headers } = await exchange({ body: { ok: true } }, (f) => f.machines.stop(target, signal));
    expect(headers).not.toHaveProperty('fly-machine-lease-nonce');
  });

  test('may refuse to start in an answer that looks like a success', async () => {
    const body = { status: 'error', message: 'machine still active, refusing to start' };
    const { result } = await exchange({ body }, (f) => failureOf(f.machines.start(target, signal)));
    expect(verdictOf(result)).toEqual({ kind: 'waiting', reason: 'MachineBusy', ambiguous: false });
    expect(result.message).toBe(
      'cannot start machine "m1": Fly answered 200: machine still active, refusing to start',
    );
  });

  test('are destroyed with force', async () => {
    const { request } = await exchange({ body: { ok: true } }, (f) => f.machines.destroy(target, signal));
    expect(request).toBe('DELETE /v1/apps/t-1/machines/m1?force=true');
  });

  describe('are waited for', () => {
    const wait = (f: Fly, options: { states: string[]; version?: string; timeoutMs: number }) =>
      f.machines.wait(target, options, signal);

    test('with their version by both of its names, and in whole seconds', async () => {
      const { request, result } = await exchange({ body: { ok: true, state: 'stopped' } }, (f) =>
        wait(f, { states: ['stopped', 'suspended'], version: '01KD', timeoutMs: 1_500 }),
      );
      expect(request).toBe(
        'GET /v1/apps/t-1/machines/m1/wait?state=stopped%2Csuspended&version=01KD&instance_id=01KD&timeout=2',
      );
      expect(result).toBe(true);
    });

    test.each([
      { timeoutMs: 0, seconds: 1 },
      { timeoutMs: 600_000, seconds: 60 },
    ])('$timeoutMs ms are $seconds s, for Fly takes 1 to 60', async ({ timeoutMs, seconds }) => {
      const { request } = await exchange({ body: { ok: true } }, (f) =>
        wait(f, { states: ['started'], timeoutMs }),
      );
      expect(request).toMatch(new RegExp(`timeout=${seconds}$`));
    });

    test.each([
      { name: 'not yet', status: 408, error: 'deadline_exceeded: not yet', states: ['started'], want: false },
      {
        name: 'another version took over',
        status: 400,
        error: 'currently replaced',
        states: ['started'],
        want: false,
      },
      { name: 'gone, as was wanted', status: 404, error: 'not_found', states: ['destroyed'], want: true },
    ])('$name: $want', async ({ status, error, states, want }) => {
      const { result } = await exchange({ status, body: { error } }, (f) =>
        wait(f, { states, timeoutMs: 1_000 }),
      );
      expect(result).toBe(want);
    });

    test('and reported as absent when they should have been there', async () => {
      const { result } = await exchange({ status: 404 }, (f) =>
        failureOf(wait(f, { states: ['started'], timeoutMs: 1_000 })),
      );
      expect(result).toMatchObject({ reason: 'NotFound', ambiguous: false });
    });
  });

  describe('are leased', () => {
    const options = { ttlMs: 12_500, description: 'reconcile' };

    test.each([
      { name: 'bare', body: LEASE },
      { name: 'in an envelope', body: { status: 'success', data: LEASE } },
    ])('with the ttl in body and query, and a lease that comes $name', async ({ body: reply }) => {
      const { request, body, result } = await exchange({ status: 201, body: reply }, (f) =>
        f.machines.lease(held, options, signal),
      );
      expect(request).toBe('POST /v1/apps/t-1/machines/m1/lease?ttl=13');
      expect(body).toEqual({ ttl: 13, description: 'reconcile' });
      expect(result).toEqual(LEASE);
    });

    test('by one at a time', async () => {
      const error = 'machine ID m1 lease currently held by a@tokens.fly.io, expires at 2026-01-01T00:02:00Z';
      const { result } = await exchange({ status: 409, body: { error } }, (f) =>
        failureOf(f.machines.lease(target, options, signal)),
      );
      expect(result.message).toBe(
        'cannot lease machine "m1": Fly answered 409: machine ID m1 lease currently held by a@tokens.fly.io',
      );
      expect(result.kind).toBe('waiting');
    });

    test('and may be free', async () => {
      const error = 'not_found: lease not found';
      const { result } = await exchange({ status: 404, body: { error } }, (f) =>
        f.machines.getLease(target, signal),
      );
      expect(result).toBeUndefined();
    });

    test.each([
      { status: 200, body: { status: 'success', data: { ok: true } } },
      { status: 404, body: { error: 'not_found: lease not found' } },
      { status: 400, body: { status: 'error', message: 'lease not found' } },
    ])('and released; $status $body is success', async ({ status, body }) => {
      const { request, headers } = await exchange({ status, body }, (f) =>
        f.machines.releaseLease(held, signal),
      );
      expect(request).toBe('DELETE /v1/apps/t-1/machines/m1/lease');
      expect(headers['fly-machine-lease-nonce']).toBe('n1');
    });
  });

  test('have metadata that are merged for one version', async () => {
    const { request, body } = await exchange({ status: 204 }, (f) =>
      f.machines.setMetadata(target, { metadata: { a: '1', b: '' }, machineVersion: '01KD' }, signal),
    );
    expect(request).toBe('PATCH /v1/apps/t-1/machines/m1/metadata');
    expect(body).toEqual({ metadata: { a: '1', b: '' }, machine_version: '01KD' });
    const { result } = await exchange({ body: { a: '1' } }, (f) => f.machines.getMetadata(target, signal));
    expect(result).toEqual({ a: '1' });
  });

  test('have events, of which Fly gives fifty at most', async () => {
    const { request, result } = await exchange({ body: [{ type: 'launch', timestamp: 1 }] }, (f) =>
      f.machines.events(target, { limit: 500 }, signal),
    );
    expect(request).toBe('GET /v1/apps/t-1/machines/m1/events?limit=50');
    expect(result).toEqual([{ type: 'launch', timestamp: 1 }]);
  });
});

describe('volumes', () => {
  test('that are deleted are not there, although Fly lists them for a day', async () => {
    const deleted = [...DELETED_VOLUME_STATES].map((state) => ({ ...VOLUME, id: state, state }));
    const listed = await exchange({ body: [...deleted, VOLUME] }, (f) => f.volumes.list('t-1', signal));
    expect(listed.result).toEqual([VOLUME]);
    for (const volume of deleted) {
      const { result } = await exchange({ body: volume }, (f) => f.volumes.get('t-1', volume.id, signal));
      expect(result).toBeUndefined();
    }
    expect((await exchange({ status: 404 }, (f) => f.volumes.list('t-1', signal))).result).toBeUndefined();
    expect(
      (await exchange({ status: 404 }, (f) => f.volumes.get('t-1', 'v', signal))).result,
    ).toBeUndefined();
  });

  test('say that no machine has them with null', async () => {
    const free = { ...VOLUME, attached_machine_id: null, zone: null };
    const { result } = await exchange({ body: free }, (f) => f.volumes.get('t-1', 'vol_1', signal));
    expect(result).toEqual({ ...VOLUME, attached_machine_id: null });
  });

  test('are created, extended and deleted', async () => {
    const wanted = { name: 'data', region: 'iad', size_gb: 1 };
    const created = await exchange({ body: VOLUME }, (f) => f.volumes.create('t-1', wanted, signal));
    expect([created.request, created.body]).toEqual(['POST /v1/apps/t-1/volumes', wanted]);
    const extended = await exchange({ body: { volume: VOLUME, needs_restart: true } }, (f) =>
      f.volumes.extend('t-1', 'vol_1', 3, signal),
    );
    expect([extended.request, extended.body]).toEqual([
      'PUT /v1/apps/t-1/volumes/vol_1/extend',
      { size_gb: 3 },
    ]);
    expect(extended.result).toEqual({ volume: VOLUME, needsRestart: true });
    const deleted = await exchange({}, (f) => f.volumes.delete('t-1', 'vol_1', signal));
    expect(deleted.request).toBe('DELETE /v1/apps/t-1/volumes/vol_1');
  });
});

describe('addresses', () => {
  test('are listed, allocated and released', async () => {
    const address = { ip: '2a09::1', shared: false };
    const listed = await exchange({ body: { ips: [address] } }, (f) =>
      f.network.listAddresses('t-1', signal),
    );
    expect([listed.request, listed.result]).toEqual(['GET /v1/apps/t-1/ip_assignments', [address]]);
    const allocated = await exchange({ body: address }, (f) =>
      f.network.allocateAddress('t-1', 'v6', signal),
    );
    expect([allocated.request, allocated.body]).toEqual(['POST /v1/apps/t-1/ip_assignments', { type: 'v6' }]);
    const released = await exchange({ status: 204 }, (f) =>
      f.network.releaseAddress('t-1', '2a09::1', signal),
    );
    expect(released.request).toBe('DELETE /v1/apps/t-1/ip_assignments/2a09::1');
  });
});

describe('certificates', () => {
  test('are listed page by page', async () => {
    const pages = [
      { certificates: [{ hostname: 'a' }], next_cursor: 'c 2', total_count: 2 },
      { certificates: [{ hostname: 'b' }], next_cursor: '' },
    ];
    const before = server.requests.length;
    let page = 0;
    const client = createTestFly(server.url);
    answer = (_, response) => send(response, 200, pages[page++]);
    expect((await client.certificates.list('t-1', signal))?.map(({ hostname }) => hostname)).toEqual([
      'a',
      'b',
    ]);
    await client.close();
    expect(server.requests.slice(before).map(({ url }) => url)).toEqual([
      '/v1/apps/t-1/certificates?limit=500',
      '/v1/apps/t-1/certificates?limit=500&cursor=c+2',
    ]);
  });

  test('are read, requested and deleted', async () => {
    const detail = { hostname: 'a.example.com', status: 'pending_validation', rate_limited_until: null };
    const read = await exchange({ body: detail }, (f) => f.certificates.get('t-1', 'a.example.com', signal));
    expect(read.result).toEqual(detail);
    expect(
      (await exchange({ status: 404 }, (f) => f.certificates.get('t-1', 'x', signal))).result,
    ).toBeUndefined();
    const created = await exchange({ status: 201, body: detail }, (f) =>
      f.certificates.create('t-1', 'a.example.com', signal),
    );
    expect([created.request, created.body]).toEqual([
      'POST /v1/apps/t-1/certificates/acme',
      { hostname: 'a.example.com' },
    ]);
    const deleted = await exchange({ status: 204 }, (f) => f.certificates.delete('t-1', 'a', signal));
    expect(deleted.request).toBe('DELETE /v1/apps/t-1/certificates/a');
  });
});

test.each<[what: string, remove: (fly: Fly) => Promise<void>]>([
  ['a machine', (f) => f.machines.destroy({ app: 't-1', machineId: 'm1' }, signal)],
  ['a volume', (f) => f.volumes.delete('t-1', 'vol_1', signal)],
  ['an address', (f) => f.network.releaseAddress('t-1', '2a09::1', signal)],
  ['a certificate', (f) => f.certificates.delete('t-1', 'a', signal)],
])('%s that a list has shown does not count as gone when it is not found', async (_, remove) => {
  const { result } = await exchange({ status: 404 }, (f) => failureOf(remove(f)));
  expect(result).toMatchObject({ reason: 'NotFound', ambiguous: false });
});

describe('secrets', () => {
  test('are listed at least as new as asked for', async () => {
    const { request, result } = await exchange({ body: { secrets: [{ name: 'A', digest: 'd' }] } }, (f) =>
      f.secrets.list('t-1', 7, signal),
    );
    expect([request, result]).toEqual([
      'GET /v1/apps/t-1/secrets?min_version=7',
      [{ name: 'A', digest: 'd' }],
    ]);
  });

  test.each([{ version: 8 }, { Version: 8 }])(
    'are set and unset at once, with the new version in %j',
    async (version) => {
      const { body, result } = await exchange({ body: { secrets: [], ...version } }, (f) =>
        f.secrets.set('t-1', { A: 'x', OLD: null }, signal),
      );
      expect(body).toEqual({ values: { A: 'x', OLD: null } });
      expect(result).toEqual({ version: 8, secrets: [] });
    },
  );

  test('whose version is not told may have been set', async () => {
    const { result } = await exchange({ body: { secrets: [] } }, (f) =>
      failureOf(f.secrets.set('t-1', {}, signal)),
    );
    expect(result).toMatchObject({ reason: 'FlyUnintelligible', ambiguous: true });
  });
});

describe('the organisation', () => {
  test('has machines by page, the last of which has no cursor', async () => {
    const row = { id: 'm1', app_name: 't-1', state: 'started', updated_at: '2026-01-01T00:00:00Z' };
    const first = await exchange(
      { body: { machines: [row], next_cursor: 'c', error_regions: ['gru'] } },
      (f) => f.organisation.machines({ updatedAfter: '2026-01-01T00:00:00Z', includeDeleted: true }, signal),
    );
    expect(first.request).toBe(
      'GET /v1/orgs/acme/machines?limit=1000&summary=true&include_deleted=true&updated_after=2026-01-01T00%3A00%3A00Z',
    );
    expect(first.result).toEqual({ items: [row], nextCursor: 'c', errorRegions: ['gru'] });
    const last = await exchange({ body: { machines: null, next_cursor: '', error_regions: null } }, (f) =>
      f.organisation.machines({ cursor: 'c' }, signal),
    );
    expect(last.request).toBe('GET /v1/orgs/acme/machines?limit=1000&summary=true&cursor=c');
    expect(last.result).toEqual({ items: [], errorRegions: [] });
  });

  test('has volumes by page', async () => {
    const row = { ...VOLUME, app_name: 't-1' };
    const { request, result } = await exchange({ body: { volumes: [row] } }, (f) =>
      f.organisation.volumes({}, signal),
    );
    expect(request).toBe('GET /v1/orgs/acme/volumes?limit=1000&summary=true');
    expect(result).toEqual({ items: [row], errorRegions: [] });
  });

  test.each(['regions', 'Regions'])('has regions, whichever way their key is written: %s', async (key) => {
    const region = { code: 'iad', name: 'Ashburn' };
    const { request, result } = await exchange({ body: { [key]: [region] } }, (f) =>
      f.organisation.regions(signal),
    );
    expect([request, result]).toEqual(['GET /v1/platform/regions', [region]]);
  });
});

describe('logs', () => {
  test('come as lines, with a token to go on from', async () => {
    const attributes = {
      timestamp: '2026-01-01T00:00:00Z',
      message: 'hi',
      level: 'info',
      instance: 'm1',
      meta: {},
    };
    const body = { data: [{ id: 'l1', type: 'log', attributes }], meta: { next_token: '17' } };
    const { request, result } = await exchange({ body }, (f) =>
      f.telemetry.logs('t-1', { nextToken: '16', instance: 'm1' }, signal),
    );
    expect(request).toBe('GET /api/v1/apps/t-1/logs?next_token=16&instance=m1');
    const { meta: _, ...line } = attributes;
    expect(result).toEqual({ lines: [{ id: 'l1', ...line }], nextToken: '17' });
  });

  test('that are none leave the token as it was', async () => {
    const { result } = await exchange({ body: { data: null, meta: { next_token: '' } } }, (f) =>
      f.telemetry.logs('t-1', {}, signal),
    );
    expect(result).toEqual({ lines: [] });
    expect((await exchange({ status: 404 }, (f) => f.telemetry.logs('t-1', {}, signal))).result).toEqual({
      lines: [],
    });
  });
});

describe('metrics', () => {
  const success = (resultType: string, result: unknown) => ({
    body: { status: 'success', data: { resultType, result } },
  });

  test('over a range are asked for in seconds', async () => {
    const series = [{ metric: { app: 't-1' }, values: [[1.5, '2']] }];
    const { request, result } = await exchange(success('matrix', series), (f) =>
      f.telemetry.queryRange(
        { promql: 'up{app="t-1"}', fromMs: 1_500, toMs: 61_500, stepMs: 15_000 },
        signal,
      ),
    );
    expect(request).toBe(
      'GET /prometheus/acme/api/v1/query_range?query=up%7Bapp%3D%22t-1%22%7D&start=1.5&end=61.5&step=15',
    );
    expect(result).toEqual(series);
  });

  test.each([
    {
      name: 'a vector',
      reply: success('vector', [{ metric: { app: 'a' }, value: [1, '2'] }]),
      want: [{ metric: { app: 'a' }, values: [[1, '2']] }],
    },
    { name: 'a scalar', reply: success('scalar', [1, '2']), want: [{ metric: {}, values: [[1, '2']] }] },
    { name: 'nothing', reply: success('vector', []), want: [] },
  ])('at one instant may be $name', async ({ reply, want }) => {
    const { request, result } = await exchange(reply, (f) => f.telemetry.query('up', signal));
    expect(request).toBe('GET /prometheus/acme/api/v1/query?query=up');
    expect(result).toEqual(want);
  });

  test('of a query that is wrong say what is wrong with it', async () => {
    const body = { status: 'error', errorType: '422', error: 'cannot parse "up{"' };
    const { result } = await exchange({ status: 422, body }, (f) =>
      failureOf(f.telemetry.query('up{', signal)),
    );
    expect(result).toMatchObject({ kind: 'terminal', reason: 'BadRequest' });
    expect(result.message).toContain('cannot parse "up{"');
  });
});
