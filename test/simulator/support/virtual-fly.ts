/**
 * A world in virtual time: calls go in, time passes only as far as the test says, and every answer of the
 * Machines API is held against Fly's OpenAPI document on its way out.
 */
import { z } from 'zod';
import { control } from '../../../src/simulator/control.ts';
import type { Delivery } from '../../../src/simulator/delivery.ts';
import { createWorld, type World, type WorldOptions } from '../../../src/simulator/world.ts';
import { expectConformance, isInDocument } from './conformance.ts';

/** 2026-01-01T00:00:00Z. */
export const EPOCH = 1_767_225_600_000;

export interface Reply {
  readonly status: number;
  /** Parsed as JSON when it is; any, because tests look into it. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- every test would otherwise cast
  readonly json: any;
  readonly text: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export interface VirtualFly {
  readonly world: World;
  now(): number;
  /** Lets time pass, and what is due happen. */
  pass(ms: number): void;
  /** Makes a call and lets its latency (and its waiting) pass. Throws when there is no answer. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Reply;
  /** The same, telling also how a call ended that had no answer. */
  deliver(method: string, path: string, body?: unknown, headers?: Record<string, string>): Delivery;
  /** Asks the control surface. */
  control(method: string, path: string, body?: unknown): Reply;
}

const text = z.string().optional();

export function createVirtualFly(options: WorldOptions = {}): VirtualFly {
  const world = createWorld({ latency: 0, rateLimits: false, autostopEveryMs: 0, ...options });
  let now = Math.max(EPOCH, world.state.now);

  function request(
    method: string,
    path: string,
    { body, headers }: { body: unknown; headers: Record<string, string> },
  ) {
    const [pathname = '', query = ''] = path.split('?');
    return {
      method,
      path: pathname,
      query: new URLSearchParams(query),
      headers,
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    };
  }

  function deliver(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Delivery {
    const sent = request(method, path, { body, headers: { authorization: 'Bearer test', ...headers } });
    const arrival = world.arrive(sent, now);
    now += arrival.latencyMs;
    let delivery = world.answer(arrival, now);
    while (delivery.kind === 'pending') {
      now = Math.min(world.nextDueAt() ?? Infinity, delivery.untilMs);
      delivery = world.answer(arrival, now);
    }
    if (delivery.kind !== 'answer') return delivery;
    const { status, json } = delivery.answer;
    const { operation, fault } = arrival.logged;
    if (fault === undefined && isInDocument(operation)) expectConformance(operation, status, through(json));
    return delivery;
  }

  /** What a client would read: the answer as JSON text and back. */
  function through(json: unknown): unknown {
    return json === undefined ? undefined : JSON.parse(JSON.stringify(json));
  }

  return {
    world,
    now: () => now,
    deliver,
    pass(ms) {
      now += ms;
      world.advance(now);
    },
    call(method, path, body, headers) {
      const delivery = deliver(method, path, body, headers);
      if (delivery.kind !== 'answer') throw new Error(`${method} ${path} was not answered: ${delivery.kind}`);
      const { answer, holdMs } = delivery;
      now += holdMs;
      return {
        status: answer.status,
        json: through(answer.json),
        text: text.parse(answer.text),
        headers: answer.headers ?? {},
      };
    },
    control(method, path, body) {
      const answer = control(world, request(method, `/_simulator${path}`, { body, headers: {} }), now);
      return { status: answer.status, json: through(answer.json), text: undefined, headers: {} };
    },
  };
}

/** A service that the proxy puts to sleep and wakes. */
export const sleepyService = {
  protocol: 'tcp',
  internal_port: 8080,
  autostart: true,
  autostop: 'suspend',
  ports: [{ port: 443, handlers: ['tls', 'http'] }],
};

export const smallConfig = { image: 'docker.io/library/nginx:1', guest: { memory_mb: 512 } };

/** An app with one started machine on one volume. */
export function createTenant(
  fly: VirtualFly,
  {
    app = 'one',
    config = {},
    withVolume = true,
  }: { app?: string; config?: Record<string, unknown>; withVolume?: boolean } = {},
): { app: string; base: string; machine: string; volume: string; version: string } {
  fly.call('POST', '/v1/apps', { app_name: app, org_slug: 'systemprompt' });
  fly.pass(1000);
  const volume = withVolume
    ? String(fly.call('POST', `/v1/apps/${app}/volumes`, { name: 'data', region: 'iad', size_gb: 1 }).json.id)
    : '';
  const mounts = withVolume ? { mounts: [{ volume, path: '/data' }] } : {};
  const made = fly.call('POST', `/v1/apps/${app}/machines`, {
    name: app,
    region: 'iad',
    config: { ...smallConfig, ...mounts, ...config },
  });
  if (made.status !== 200) throw new Error(`cannot create machine: ${JSON.stringify(made.json)}`);
  fly.pass(10_000);
  const machine = String(made.json.id);
  return {
    app,
    base: `/v1/apps/${app}/machines/${machine}`,
    machine,
    volume,
    version: String(made.json.instance_id),
  };
}
