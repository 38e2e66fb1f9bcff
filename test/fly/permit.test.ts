/** A write waits for a turn, for a connection, or in a process that stands still; whether it may be sent is asked last. */
import { afterEach, describe, expect, it } from 'vitest';
import type { FlyClient, FlyOptions } from '../../src/fly/client.ts';
import { createTestFly, failureOf } from './support/client.ts';
import { send, startServer, type Answer, type TestServer } from './support/server.ts';

const signal = new AbortController().signal;
const target = { app: 't-1', machineId: 'm1' };
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function setUp(
  answer: Answer,
  options: Partial<FlyOptions> = {},
): Promise<{ fly: FlyClient; server: TestServer }> {
  const server = await startServer(answer);
  const fly = createTestFly(server.url, options);
  opened.push(server, fly);
  return { fly, server };
}

const ok: Answer = (_, response) => send(response, 200, {});

describe('a write of someone who may no longer act', () => {
  it('is not sent, and fails as one that had no effect', async () => {
    const { fly, server } = await setUp(ok);
    const failure = await failureOf(fly.under(() => false).machines.stop(target, signal));
    expect(failure).toMatchObject({ reason: 'NotPermitted', kind: 'transient', ambiguous: false });
    expect(failure.message).toBe(
      `cannot stop machine "m1": ${new URL(server.url).host}: it may no longer be sent`,
    );
    expect(server.requests).toEqual([]);
  });

  it('is not sent either when the right was lost while it waited for a connection', async () => {
    let answerFirst: () => void = () => undefined;
    const { fly, server } = await setUp(
      (request, response) => {
        if (request.method === 'GET') answerFirst = () => send(response, 200, []);
        else ok(request, response);
      },
      { limits: { connections: 1 } },
    );
    const first = fly.machines.list('t-1', signal);
    await server.received(1);
    let permitted = true;
    const write = failureOf(fly.under(() => permitted).machines.stop(target, signal));
    // The write waits behind the first call by now; all that it still needs is the connection.
    await new Promise((resolve) => setImmediate(resolve));
    permitted = false;
    answerFirst();
    expect(await first).toEqual([]);
    expect((await write).reason).toBe('NotPermitted');
    expect(server.requests.map(({ method }) => method)).toEqual(['GET']);
    // The connection is as good as before for those who may act.
    await fly.under(() => true).machines.stop(target, signal);
    expect(server.requests).toHaveLength(2);
  });

  it('is not sent to the registry either', async () => {
    const { fly, server } = await setUp(ok);
    const image = { repository: 'images', digest: `sha256:${'0'.repeat(64)}` };
    const deleting = fly.under(() => false).registry.deleteManifest(image, signal);
    expect((await failureOf(deleting)).reason).toBe('NotPermitted');
    expect(server.requests).toEqual([]);
  });

  it('leaves reads alone, and the calls of everybody else', async () => {
    const { fly, server } = await setUp((request, response) =>
      send(response, 200, request.method === 'GET' ? [] : {}),
    );
    expect(await fly.under(() => false).machines.list('t-1', signal)).toEqual([]);
    await fly.machines.stop(target, signal);
    expect(server.requests.map(({ method }) => method)).toEqual(['GET', 'POST']);
  });
});

describe('the name of a replica', () => {
  it('is told to Fly with every call, so that its calls can be told apart', async () => {
    const { fly, server } = await setUp(ok, { replica: 'pod-7' });
    await fly.machines.stop(target, signal);
    await fly.under(() => true).machines.stop(target, signal);
    expect(server.requests.map(({ headers }) => headers['user-agent'])).toEqual([
      'landlord (pod-7)',
      'landlord (pod-7)',
    ]);
  });
});
