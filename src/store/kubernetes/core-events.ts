/**
 * How does `kubectl describe` learn what happened to a tenant? By core/v1 Events beside it. An equal event is one
 * object that counts: its name is derived from what it says, so that also after a restart it is found again. As with
 * client-go, a tenant may say a good deal at once and then little; the API server itself forgets events after an hour.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { KubernetesError } from '../../kubernetes/errors.ts';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import type { TenantEvent, TenantName } from '../store.ts';
import { FIELD_MANAGER } from './resource.ts';

/** Whom an event is about. */
export interface Involved extends TenantName {
  readonly uid: string;
  readonly resourceVersion: string;
}

export interface CoreEvent {
  readonly involved: Involved;
  readonly event: TenantEvent;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A whole provisioning tells about twenty; twice that fits. */
const BURST = 50;
const REFILL_MS = 60_000;
const MOST_TENANTS_REMEMBERED = 10_000;
/** Bounds of the API server. */
const LONGEST_REASON = 128;
const LONGEST_MESSAGE_BYTES = 1_024;
const MERGE_PATCH = 'application/merge-patch+json';

export interface EventFilter {
  /** False for a tenant that has said too much lately. */
  admit(uid: string): boolean;
}

/** A bucket of tokens for each tenant, as client-go's spam filter has one for each object. */
export function createEventFilter(clock: Clock): EventFilter {
  const buckets = new LRUCache<string, { tokens: number; filledAt: number }>({
    max: MOST_TENANTS_REMEMBERED,
  });
  return {
    admit(uid) {
      const now = clock.now();
      const bucket = buckets.get(uid) ?? { tokens: BURST, filledAt: now };
      // A clock that was set back must not silence anybody until it has caught up.
      const since = Math.min(bucket.filledAt, now);
      const refills = Math.floor((now - since) / REFILL_MS);
      const tokens = Math.min(BURST, bucket.tokens + refills);
      const filledAt = since + refills * REFILL_MS;
      buckets.set(uid, { tokens: Math.max(0, tokens - 1), filledAt });
      return tokens >= 1;
    },
  };
}

const countedSchema = z.object({ count: z.number().optional() });

/** Writes one event, or counts it where it stands already. Throws KubernetesError. */
export async function writeCoreEvent(
  client: KubernetesClient,
  event: CoreEvent,
  signal: AbortSignal,
): Promise<void> {
  const object = eventObject(event);
  const collection = `/api/v1/namespaces/${encodeURIComponent(event.involved.namespace)}/events`;
  const item = `${collection}/${encodeURIComponent(object.metadata.name)}`;
  const manager = `?fieldManager=${FIELD_MANAGER}`;
  try {
    await client.call({ method: 'POST', path: `${collection}${manager}`, body: object, signal });
    return;
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error;
  }
  // How often it was told stands in the answer to the first patch: no right to read events is needed.
  const counted = (body: object): Promise<unknown> =>
    client.call({ method: 'PATCH', path: `${item}${manager}`, contentType: MERGE_PATCH, body, signal });
  const { lastTimestamp } = object;
  const { count = 1 } = countedSchema.parse(await counted({ lastTimestamp }));
  await counted({ count: count + 1 });
}

function eventObject({ involved, event, at }: CoreEvent) {
  const { namespace, name, uid, resourceVersion } = involved;
  const reason = event.reason.slice(0, LONGEST_REASON);
  const message = cut(event.message, LONGEST_MESSAGE_BYTES);
  const identity = JSON.stringify([uid, event.type, reason, message]);
  const digest = createHash('sha256').update(identity).digest('hex').slice(0, 16);
  const timestamp = new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, name: `${name}.${digest}` },
    involvedObject: { apiVersion: API_VERSION, kind: KIND, namespace, name, uid, resourceVersion },
    type: event.type,
    reason,
    message,
    count: 1,
    firstTimestamp: timestamp,
    lastTimestamp: timestamp,
    source: { component: FIELD_MANAGER },
    reportingComponent: FIELD_MANAGER,
  };
}

/** At most so many bytes of UTF-8, and no half of a character. */
function cut(text: string, mostBytes: number): string {
  return Buffer.from(text, 'utf8')
    .subarray(0, mostBytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}

function hasReason(error: unknown, reason: string): boolean {
  return error instanceof KubernetesError && error.reason === reason;
}
