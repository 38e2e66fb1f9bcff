/** A small client of the declarative door and of the simulator's control surface, for end-to-end tests and figures. */
import { setTimeout as delay } from 'node:timers/promises';
import { findCondition } from '../../src/tenant/conditions.ts';
import { API_VERSION, KIND, PLURAL } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from './eventually.ts';

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

/** How long a call may take; a daemon that was killed refuses at once. */
const CALL_TIMEOUT_MS = 30_000;

/** Sends one JSON request. Rejects when there is no answer at all. */
export async function call<T>(
  url: string,
  options: {
    readonly method?: string;
    readonly token?: string;
    readonly body?: unknown;
    readonly type?: string;
  } = {},
): Promise<Answer<T>> {
  const response = await fetch(url, {
    method: options.method ?? 'GET',
    headers: {
      ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
      ...(options.body !== undefined && { 'content-type': options.type ?? 'application/json' }),
    },
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T };
}

/** Repeats what the daemon's death prevented; whatever it answered otherwise is an answer. */
export async function persist<T>(attempt: () => Promise<Answer<T>>, attempts = 600): Promise<Answer<T>> {
  for (let left = attempts; ; left -= 1) {
    try {
      const answer = await attempt();
      if (answer.status < 500 || left <= 0) return answer;
    } catch (error) {
      if (left <= 0) throw error;
    }
    await delay(100);
  }
}

export interface Operator {
  /** Path below the group and version, such as `namespaces/default/tenants/x`. */
  request<T>(path: string, options?: { method?: string; body?: unknown; type?: string }): Promise<Answer<T>>;
  create(name: string, spec: Record<string, unknown>): Promise<Answer<Tenant>>;
  patch(name: string, spec: Record<string, unknown>): Promise<Answer<Tenant>>;
  get(name: string): Promise<Answer<Tenant>>;
  remove(name: string): Promise<Answer<unknown>>;
  list(): Promise<Tenant[]>;
  /** Tenants as they change, from now on. */
  watch(signal: AbortSignal): AsyncIterable<{ readonly type: string; readonly object: Tenant }>;
}

/** Talks to the daemon at `url()` with `token()`: both may change when it is started anew. */
export function createOperator(url: () => string, token: () => string): Operator {
  const base = (): string => `${url()}/apis/${API_VERSION}`;
  const item = (name: string): string => `namespaces/default/${PLURAL}/${name}`;
  const operator: Operator = {
    request: (path, options = {}) => call(`${base()}/${path}`, { ...options, token: token() }),
    create: (name, spec) =>
      operator.request(`namespaces/default/${PLURAL}`, {
        method: 'POST',
        body: { apiVersion: API_VERSION, kind: KIND, metadata: { name, namespace: 'default' }, spec },
      }),
    patch: (name, spec) =>
      operator.request(item(name), { method: 'PATCH', body: { spec }, type: 'application/merge-patch+json' }),
    get: (name) => operator.request(item(name)),
    remove: (name) => operator.request(item(name), { method: 'DELETE' }),
    async list() {
      const { status, body } = await persist(() => operator.request<{ items: Tenant[] }>(PLURAL));
      if (status !== 200) throw new Error(`the daemon answered a list with ${status}`);
      return body.items;
    },
    async *watch(signal) {
      const response = await fetch(`${base()}/${PLURAL}?watch=1`, {
        headers: { authorization: `Bearer ${token()}` },
        signal,
      });
      let rest = '';
      const decoder = new TextDecoder();
      const chunks: AsyncIterable<Uint8Array> | null = response.body;
      if (chunks === null) return;
      for await (const chunk of chunks) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield JSON.parse(line) as { type: string; object: Tenant };
      }
    },
  };
  return operator;
}

export interface SimulatedCall {
  /** Counts all calls, from 1. */
  readonly sequence: number;
  /** When it arrived, in milliseconds since the epoch. */
  readonly at: number;
  /** `user-agent`, which names the replica. */
  readonly agent?: string;
  readonly operation: string;
  readonly method: string;
  readonly app?: string;
  readonly status: number | null;
  readonly latencyMs: number;
  /** The fault that hit it. */
  readonly fault?: string;
}

export interface SimulatedMachine {
  readonly id: string;
  readonly state: string;
  readonly config: {
    readonly image?: string;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly guest?: unknown;
  };
  readonly versions: readonly string[];
  readonly transitions: readonly { readonly to: string; readonly ms: number }[];
}

export interface SimulatedWorld {
  readonly apps: Readonly<
    Record<
      string,
      {
        readonly deleting: boolean;
        readonly machines: readonly SimulatedMachine[];
        readonly volumes: readonly {
          readonly id: string;
          readonly state: string;
          readonly size_gb: number;
        }[];
        readonly addresses: readonly { readonly ip: string; readonly type: string }[];
        readonly certificates: readonly { readonly hostname: string }[];
        readonly secrets: { readonly names: readonly string[] };
      }
    >
  >;
}

/** How long a tenant may take to get somewhere: longer than any back-off and grace together. */
const REACH_TIMEOUT_MS = 240_000;

/** The tenant once it is Ready at its generation, in this phase. */
export function reachPhase(operator: Operator, name: string, phase: string): Promise<Tenant> {
  return eventually(
    async () => {
      const { status, body } = await persist(() => operator.get(name));
      return status === 200 && body.status?.phase === phase && isSettled(body) ? body : undefined;
    },
    { what: `tenant ${name} to be ${phase}`, timeoutMs: REACH_TIMEOUT_MS, intervalMs: 250 },
  );
}

export function isSettled({ metadata, status }: Tenant): boolean {
  const ready = findCondition(status?.conditions, 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation;
}

/** Deletes the tenant, and waits until it is gone. */
export async function remove(operator: Operator, name: string): Promise<void> {
  await persist(() => operator.remove(name));
  await eventually(async () => (await persist(() => operator.get(name))).status === 404, {
    what: `tenant ${name} to be gone`,
    timeoutMs: REACH_TIMEOUT_MS,
    intervalMs: 250,
  });
}

export const worldOf = async (simulatorUrl: string): Promise<SimulatedWorld> =>
  (await call<SimulatedWorld>(`${simulatorUrl}/_simulator/world`)).body;

export const callsOf = async (simulatorUrl: string): Promise<SimulatedCall[]> =>
  (await call<{ calls: SimulatedCall[] }>(`${simulatorUrl}/_simulator/calls`)).body.calls;

/** Puts an image into the simulator's registry, so that tenants can run it. */
export async function seedImage(simulatorUrl: string, repository: string, tag: string): Promise<void> {
  await call(`${simulatorUrl}/_simulator/registry`, { method: 'POST', body: { repository, tag } });
}
