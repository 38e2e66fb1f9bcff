/** One call from end to end against a real server that misbehaves in every way that servers do. */
import { getEventListeners } from 'node:events';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, test } from 'vitest';
import type { FlyOptions } from '../../src/fly/client.ts';
import type { Fly } from '../../src/fly/fly.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { busyCaller, createTestFly, failureOf, impatient, TOKEN, verdictOf } from './support/client.ts';
import { send, startServer, type Answer, type TestServer } from './support/server.ts';

const signal = new AbortController().signal;
const APP = { id: 'a1', name: 't-1', status: 'pending' };
const target = { app: 't-1', machineId: 'm1' };

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function setUp(
  answer: Answer,
  options: Partial<FlyOptions> = {},
): Promise<{ fly: Fly; server: TestServer }> {
  const server = await startServer(answer);
  const fly = createTestFly(server.url, options);
  opened.push(server, fly);
  return { fly, server };
}

/** Answers one after the other; the last one again and again. */
function inTurn(...answers: Answer[]): Answer {
  let next = 0;
  return (request, response) => answers[Math.min(next++, answers.length - 1)]!(request, response);
}

const ok: Answer = (_, response) => send(response, 200, APP);
const reset: Answer = (_, response) => response.socket?.resetAndDestroy();
const hang: Answer = () => undefined;
const status =
  (code: number, headers?: Record<string, string>): Answer =>
  (_, response) =>
    send(response, code, { error: `says ${code}` }, headers);

describe('a read', () => {
  test('carries the token, a JSON accept header and an address below /v1', async () => {
    const { fly, server } = await setUp(ok);
    expect(await fly.apps.get('t-1', signal)).toEqual(APP);
    expect(server.requests[0]).toMatchObject({
      method: 'GET',
      url: '/v1/apps/t-1',
      headers: { authorization: `FlyV1 ${TOKEN}`, accept: 'application/json' },
      body: '',
    });
  });

  test.each([
    { name: 'a connection that is reset', answer: reset },
    { name: 'a 502', answer: status(502) },
    {
      name: 'an answer that is not JSON',
      answer: ((_, response) => response.end('<html>')) satisfies Answer,
    },
    {
      name: 'an answer that is cut off',
      answer: ((_, response) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{"id":"a1"', () => response.socket?.resetAndDestroy());
      }) satisfies Answer,
    },
  ])('is tried again after $name', async ({ answer }) => {
    const { fly, server } = await setUp(inTurn(answer, answer, ok));
    expect(await fly.apps.get('t-1', signal)).toEqual(APP);
    expect(server.requests).toHaveLength(3);
  });

  test('is tried three times and not more', async () => {
    const { fly, server } = await setUp(status(503));
    const error = await failureOf(fly.apps.get('t-1', signal));
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'FlyServerError', ambiguous: false });
    expect(error.message).toBe('cannot read app "t-1": Fly answered 503: says 503');
    expect(server.requests).toHaveLength(3);
  });

  test.each([
    { code: 400, reason: 'BadRequest' },
    { code: 401, reason: 'Unauthorized' },
    { code: 403, reason: 'NameTaken' },
    { code: 429, reason: 'RateLimited' },
  ])('is not tried again after $code, which would say the same', async ({ code, reason }) => {
    const { fly, server } = await setUp(status(code));
    expect(await failureOf(fly.apps.get('t-1', signal))).toMatchObject({ reason, ambiguous: false });
    expect(server.requests).toHaveLength(1);
  });

  test('of what is not there is undefined, unless it is not Fly who says so', async () => {
    const { fly } = await setUp(
      inTurn(status(404), (_, response) => {
        response.writeHead(404, { 'content-type': 'text/html' }).end('<html>no such page</html>');
      }),
    );
    expect(await fly.apps.get('t-1', signal)).toBeUndefined();
    expect(verdictOf(await failureOf(fly.apps.get('t-2', signal)))).toEqual({
      kind: 'transient',
      reason: 'FlyUnintelligible',
      ambiguous: false,
    });
  });

  test('tells which field of the answer is missing, and repeats nothing of it', async () => {
    const { fly } = await setUp((_, response) => send(response, 200, [{ id: 'm1', name: 'secret' }]));
    const error = await failureOf(fly.machines.list('t-1', signal));
    expect(error.message).toBe(
      'cannot list machines of app "t-1": the answer of Fly is not understood: the field 0.state is missing or of another type',
    );
    expect(error).toMatchObject({
      reason: 'FlyUnintelligible',
      details: { requestId: '01KDTEST-iad', status: 200 },
    });
  });

  test('that is not answered within ten seconds is tried again, and then given up', async () => {
    const clock = createFakeClock();
    const { fly, server } = await setUp(hang, { clock: impatient(clock) });
    const failure = failureOf(fly.apps.get('t-1', signal));
    for (const attempt of [1, 2, 3]) {
      await server.received(attempt);
      await clock.advance(10_000);
    }
    const error = await failure;
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'FlyTimeout', ambiguous: false });
    expect(server.requests).toHaveLength(3);
  });

  test('whose caller goes between two tries is not tried again', async () => {
    const caller = new AbortController();
    const log = { warn: () => undefined, info: () => undefined, debug: () => caller.abort() };
    const { fly, server } = await setUp(status(500), { log });
    const error = await failureOf(fly.apps.get('t-1', caller.signal));
    expect(error).toMatchObject({ reason: 'Aborted', ambiguous: false });
    expect(server.requests).toHaveLength(1);
  });

  test('refuses an answer that is too large, without reading it to its end', async () => {
    const { fly } = await setUp(
      (_, response) => send(response, 200, { ...APP, padding: 'x'.repeat(5_000) }),
      {
        limits: { answerBytes: 1_000 },
      },
    );
    expect(await failureOf(fly.apps.get('t-1', signal))).toMatchObject({ reason: 'FlyUnintelligible' });
  });

  test('is not sent when a part of its address is empty, for that would name another thing', async () => {
    const { fly, server } = await setUp(ok);
    for (const app of ['', '.', '..']) {
      const error = await failureOf(fly.machines.destroy({ app, machineId: 'm1' }, signal));
      expect(verdictOf(error)).toEqual({ kind: 'terminal', reason: 'BadRequest', ambiguous: false });
    }
    expect(server.requests).toHaveLength(0);
  });

  test('encodes what stands in its address', async () => {
    const { fly, server } = await setUp(status(404));
    await fly.certificates.get('t-1', '*.example.com', signal);
    await fly.machines.getLease({ app: 'a/../b', machineId: 'm?x' }, signal);
    expect(server.requests.map(({ url }) => url)).toEqual([
      '/v1/apps/t-1/certificates/%2A.example.com',
      '/v1/apps/a%2F..%2Fb/machines/m%3Fx/lease',
    ]);
  });
});

describe('a write', () => {
  const create = (fly: Fly, caller = signal) => fly.apps.create({ name: 't-1' }, caller);

  test.each([
    { name: 'the connection is reset', answer: reset, reason: 'FlyUnreachable' },
    { name: 'the server fails', answer: status(500), reason: 'FlyServerError' },
    { name: 'an upstream gives up', answer: status(408), reason: 'FlyTimeout' },
    {
      name: 'the answer is a page',
      answer: ((_, response) => response.end('<html>welcome</html>')) satisfies Answer,
      reason: 'FlyUnintelligible',
    },
    {
      name: 'the answer lacks what it is for',
      answer: ((_, response) => send(response, 201, {})) satisfies Answer,
      reason: 'FlyUnintelligible',
    },
  ])('is sent once and may have happened when $name', async ({ answer, reason }) => {
    const { fly, server } = await setUp(answer);
    expect(verdictOf(await failureOf(create(fly)))).toEqual({ kind: 'transient', reason, ambiguous: true });
    expect(server.requests).toHaveLength(1);
  });

  test.each([400, 401, 403, 404, 409, 412, 422, 429])('has not happened when Fly says %d', async (code) => {
    const { fly, server } = await setUp(status(code));
    expect(await failureOf(create(fly))).toMatchObject({ ambiguous: false, details: { status: code } });
    expect(server.requests).toHaveLength(1);
  });

  test('has not happened when nobody listens', async () => {
    const server = await startServer(ok);
    await server.close();
    const fly = createTestFly(server.url);
    opened.push(fly);
    const error = await failureOf(create(fly));
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'FlyUnreachable', ambiguous: false });
    expect(error.message).toBe(
      `cannot create app "t-1": ${new URL(server.url).host}: no connection (ECONNREFUSED)`,
    );
  });

  test('has not happened when the name cannot be resolved', async () => {
    const fly = createTestFly('http://fly.invalid');
    opened.push(fly);
    expect(await failureOf(create(fly))).toMatchObject({ reason: 'FlyUnreachable', ambiguous: false });
  });

  test('has not happened when the other side does not speak TLS', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined).end('hello\n', () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    opened.push({ close: () => new Promise((resolve) => server.close(() => resolve())) });
    const fly = createTestFly(`https://127.0.0.1:${port}`);
    opened.push(fly);
    expect(await failureOf(create(fly))).toMatchObject({ reason: 'FlyUnreachable', ambiguous: false });
  });

  test('may have happened when no answer comes in time', async () => {
    const clock = createFakeClock();
    const { fly, server } = await setUp(hang, { clock });
    const failure = failureOf(create(fly));
    await server.received(1);
    await clock.advance(29_999);
    await clock.advance(1);
    const error = await failure;
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'FlyTimeout', ambiguous: true });
    expect(error.message).toBe(
      `cannot create app "t-1": ${new URL(server.url).host}: no answer within 30000 ms`,
    );
    expect(clock.timers).toBe(0);
  });

  test('may have happened when the answer comes too slowly', async () => {
    const clock = createFakeClock();
    const { fly, server } = await setUp(
      (_, response) => {
        response.writeHead(201, { 'content-type': 'application/json' });
        response.write('{"id":');
      },
      { clock },
    );
    const failure = failureOf(create(fly));
    await server.received(1);
    await clock.advance(30_000);
    expect(verdictOf(await failure)).toEqual({ kind: 'transient', reason: 'FlyTimeout', ambiguous: true });
  });

  test('may have happened when the caller stops waiting for its answer', async () => {
    const { fly, server } = await setUp(hang);
    const caller = new AbortController();
    const failure = failureOf(create(fly, caller.signal));
    await server.received(1);
    caller.abort(new Error('shutting down'));
    const error = await failure;
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'Aborted', ambiguous: true });
    expect(error.message).not.toContain('shutting down');
  });

  test('has not happened when the caller had gone before it was sent', async () => {
    const { fly, server } = await setUp(ok);
    const error = await failureOf(create(fly, AbortSignal.abort()));
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'Aborted', ambiguous: false });
    expect(server.requests).toHaveLength(0);
  });

  test('has not happened when the caller goes while it waits for a free connection', async () => {
    const clock = createFakeClock();
    const { fly, server } = await setUp(hang, { clock, limits: { connections: 1 } });
    const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
    const holding = failureOf(fly.apps.create({ name: 't-0' }, first.signal));
    await server.received(1);
    const queued = failureOf(create(fly, second.signal));
    await clock.settle();
    second.abort();
    expect(await queued).toMatchObject({ reason: 'Aborted', ambiguous: false });
    first.abort();
    expect(await holding).toMatchObject({ reason: 'Aborted', ambiguous: true });
    // The connection is free now, and what was given up in the queue must not go out on it.
    const last = failureOf(fly.apps.create({ name: 't-2' }, third.signal));
    await server.received(2);
    third.abort();
    await last;
    expect(server.requests.map(({ body }) => body)).toEqual([
      '{"name":"t-0","org_slug":"acme"}',
      '{"name":"t-2","org_slug":"acme"}',
    ]);
  });

  test('carries its body as JSON and reports the request id of a refusal', async () => {
    const { fly, server } = await setUp(status(422));
    const error = await failureOf(fly.apps.create({ name: 't-1', network: 't-1' }, signal));
    expect(error.details.requestId).toBe('01KDTEST-iad');
    expect(server.requests[0]).toMatchObject({
      method: 'POST',
      url: '/v1/apps',
      headers: { 'content-type': 'application/json' },
      body: '{"name":"t-1","org_slug":"acme","network":"t-1"}',
    });
  });

  test('has no body where Fly takes none, for an empty one is refused', async () => {
    const { fly, server } = await setUp((_, response) => send(response, 200, { ok: true }));
    await fly.machines.stop(target, signal);
    expect(server.requests[0]).toMatchObject({ body: '', headers: { 'content-length': '0' } });
    expect(server.requests[0]?.headers['content-type']).toBeUndefined();
  });
});

describe('rate limits', () => {
  test('of Fly are kept with a little room: three at once, the fourth a good second later', async () => {
    const clock = createFakeClock();
    const { fly, server } = await setUp((_, response) => send(response, 200, { ok: true }), { clock });
    const all = Promise.all(Array.from({ length: 4 }, () => fly.machines.stop(target, signal)));
    await server.received(3);
    await clock.advance(1_052);
    expect(server.requests).toHaveLength(3);
    await clock.advance(1);
    await all;
    expect(server.requests).toHaveLength(4);
  });

  test('that Fly announces with Retry-After are reported, and hold back the next call of the kind', async () => {
    const clock = createFakeClock();
    const { fly, server } = await setUp(
      inTurn(status(429, { 'retry-after': '7' }), (_, response) => send(response, 200, { ok: true })),
      { clock },
    );
    const error = await failureOf(fly.machines.stop(target, signal));
    expect(error).toMatchObject({
      reason: 'RateLimited',
      ambiguous: false,
      details: { retryAfterMs: 7_000 },
    });
    const next = fly.machines.stop(target, signal);
    await fly.machines.stop({ ...target, machineId: 'm2' }, signal);
    await clock.advance(6_999);
    expect(server.requests).toHaveLength(2);
    await clock.advance(1);
    await next;
    expect(server.requests).toHaveLength(3);
  });

  test.each(['Wed, 21 Oct 2026 07:28:00 GMT', '-1', 'soon', ''])(
    'in another form are passed over: %j',
    async (value) => {
      const { fly } = await setUp(status(429, { 'retry-after': value }));
      expect((await failureOf(fly.apps.get('t-1', signal))).details.retryAfterMs).toBeUndefined();
    },
  );

  test('let nobody queue for ever: beyond half a minute the call is refused at once', async () => {
    const { fly, server } = await setUp(hang, { clock: createFakeClock() });
    const leaving = busyCaller();
    const calls = Array.from({ length: 40 }, () => failureOf(fly.machines.stop(target, leaving.signal)));
    const last = await calls[39]!;
    expect(verdictOf(last)).toEqual({ kind: 'transient', reason: 'RateLimited', ambiguous: false });
    expect(last.details.retryAfterMs).toBe(30_527);
    await server.received(3);
    leaving.abort();
    const queued = (await Promise.all(calls)).filter(
      ({ reason, ambiguous }) => reason === 'Aborted' && !ambiguous,
    );
    expect(queued).toHaveLength(28);
  });
});

describe('the circuit', () => {
  test('opens when a host fails again and again, and refuses calls to that host only', async () => {
    const { fly, server } = await setUp(status(500), { limits: { circuitFailures: 3 } });
    const other = await startServer((_, response) => send(response, 200, { data: [], meta: {} }));
    opened.push(other);
    const both = createTestFly(server.url, { logsUrl: other.url, limits: { circuitFailures: 3 } });
    opened.push(both);
    await failureOf(both.apps.get('t-1', signal));
    const error = await failureOf(both.apps.create({ name: 't-1' }, signal));
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'CircuitOpen', ambiguous: false });
    expect(server.requests).toHaveLength(3);
    expect(await both.telemetry.logs('t-1', {}, signal)).toEqual({ lines: [] });
    expect(await failureOf(fly.apps.get('t-1', signal))).toMatchObject({ reason: 'FlyServerError' });
  });

  test('tries again after a while, and closes when the host is well', async () => {
    const clock = createFakeClock();
    const states: string[] = [];
    const log = { warn: () => states.push('warn'), info: () => states.push('info'), debug: () => undefined };
    const { fly } = await setUp(inTurn(status(500), status(500), ok), {
      clock: impatient(clock),
      log,
      limits: { circuitFailures: 2 },
    });
    expect(await failureOf(fly.apps.get('t-1', signal))).toMatchObject({ reason: 'CircuitOpen' });
    await clock.advance(5_000);
    expect(await fly.apps.get('t-1', signal)).toEqual(APP);
    expect(states).toEqual(['warn', 'info']);
  });
});

describe('connections', () => {
  test('are kept and used again', async () => {
    const { fly, server } = await setUp(ok);
    for (let call = 0; call < 20; call += 1) await fly.apps.get(`t-${call}`, signal);
    // The next call may start while the connection of the last one is still being put back.
    expect(await server.connections()).toBeLessThanOrEqual(2);
  });

  test.each([
    { name: 'a success', answer: ok },
    { name: 'a refusal', answer: status(422) },
    { name: 'a broken connection', answer: reset },
  ])(
    'leave nothing behind after $name: no timer, and no listener on the signal of the caller',
    async ({ answer }) => {
      const clock = createFakeClock();
      const { fly } = await setUp(answer, { clock });
      const caller = new AbortController();
      await fly.apps.create({ name: 't-1' }, caller.signal).catch(() => undefined);
      expect(clock.timers).toBe(0);
      expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    },
  );

  test('of waits are apart: any number of waits leaves room for calls', async () => {
    const { fly, server } = await setUp(
      (request, response) => {
        if (!request.url.includes('/wait')) send(response, 200, APP);
      },
      { limits: { connections: 1 } },
    );
    expect(await fly.apps.get('t-0', signal)).toEqual(APP);
    const leaving = busyCaller();
    const waits = Array.from({ length: 100 }, (_, index) =>
      failureOf(
        fly.machines.wait(
          { app: 't-1', machineId: `m${index}` },
          { states: ['started'], timeoutMs: 60_000 },
          leaving.signal,
        ),
      ),
    );
    await server.received(101);
    expect(await fly.apps.get('t-1', signal)).toEqual(APP);
    leaving.abort();
    for (const error of await Promise.all(waits))
      expect(error).toMatchObject({ reason: 'Aborted', ambiguous: false });
  });

  test('are closed at the end, and what is still under way fails', async () => {
    const { fly, server } = await setUp(hang);
    const failure = failureOf(fly.apps.create({ name: 't-1' }, signal));
    await server.received(1);
    await fly.close();
    expect(await failure).toMatchObject({ reason: 'FlyUnreachable', ambiguous: true });
    expect(await failureOf(fly.apps.create({ name: 't-2' }, signal))).toMatchObject({
      reason: 'FlyUnreachable',
      ambiguous: false,
    });
    expect(server.requests).toHaveLength(1);
  });
});

describe('what is told', () => {
  test('is one line for the same cause each time, without token or body, whatever Fly repeats', async () => {
    let count = 0;
    const { fly } = await setUp((request, response) => {
      count += 1;
      const id = `01KD3ZQ0V7M8X9ABCDEFGHJK${String(count).padStart(2, '0')}`;
      send(response, 500, {
        error: `request ${id} failed:\n got ${request.headers.authorization} at 2026-01-01T00:00:0${count}Z`,
      });
    });
    const messages = [];
    for (let call = 0; call < 2; call += 1)
      messages.push((await failureOf(fly.apps.create({ name: 't-1' }, signal))).message);
    expect(messages).toEqual(
      Array(2).fill('cannot create app "t-1": Fly answered 500: request <id> failed: got <token> at <time>'),
    );
  });

  test('of a refused secret is nothing but the status, should Fly repeat its value', async () => {
    const { fly } = await setUp((request, response) =>
      send(response, 400, { error: `bad body ${request.body}` }),
    );
    const error = await failureOf(fly.secrets.set('t-1', { DATABASE_URL: 'postgres://hunter2' }, signal));
    expect(error.message).toBe('cannot set secrets of app "t-1": Fly answered 400');
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('hunter2');
  });

  test('is counted by operation and outcome, with the time it took and the time it waited', async () => {
    const metrics = new Registry();
    const clock = createFakeClock();
    const { fly } = await setUp(inTurn(ok, status(404), status(422), ok), { metrics, clock });
    await fly.apps.get('t-1', signal);
    await fly.apps.get('t-1', signal);
    await failureOf(fly.apps.create({ name: 't-1' }, signal));
    await fly.apps.get('t-1', signal);
    const waiting = fly.apps.get('t-1', signal);
    await clock.advance(1_053);
    await waiting;
    const text = await metrics.metrics();
    expect(text).toContain('landlord_fly_calls_total{operation="Apps_show",outcome="success"} 4');
    expect(text).toContain('landlord_fly_calls_total{operation="Apps_create",outcome="BadRequest"} 1');
    expect(text).toContain('landlord_fly_call_duration_seconds_count{operation="Apps_show"} 4');
    expect(text).toContain('landlord_fly_limiter_wait_seconds_total{operation="Apps_show"} 1.053');
    expect(text).toMatch(/landlord_fly_circuit_state\{host="127\.0\.0\.1:\d+"\} 0/);
  });
});
