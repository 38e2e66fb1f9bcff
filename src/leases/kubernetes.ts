/**
 * How are leases kept in Kubernetes? As `coordination.k8s.io/v1` Lease objects beside the pods, in the shape that
 * kubectl and every operator knows: who has it, since when, and how often it has changed hands. A write names the
 * resourceVersion that it replaces.
 */
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { LeaseBackend, LeaseRecord, LeaseWrite } from '../controller/leases/backend.ts';
import { LEASE_TIMING } from '../controller/leases/timing.ts';

/** As much of a client of the API server as is needed here. */
export interface LeaseApi {
  /** The answer's body. Rejects for every other answer than a success, with the HTTP status as `status`. */
  call(request: {
    readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
    /** Encoded, with its query. */
    readonly path: string;
    /** Sent as JSON. */
    readonly body?: unknown;
    readonly signal: AbortSignal;
  }): Promise<unknown>;
}

export interface KubernetesLeasesOptions {
  readonly api: LeaseApi;
  /** The pods' own. */
  readonly namespace: string;
  readonly clock: Clock;
}

/** Other leases may live in the namespace; ours carry this label and this prefix. */
const LABELS = { 'app.kubernetes.io/managed-by': 'landlord' };
const PREFIX = 'landlord-';

const leaseSchema = z.object({
  metadata: z.object({
    name: z.string().startsWith(PREFIX),
    uid: z.string().min(1),
    resourceVersion: z.string().min(1),
  }),
  spec: z
    .object({
      holderIdentity: z.string().nullish(),
      acquireTime: z.string().nullish(),
      leaseTransitions: z.int().min(0).nullish(),
    })
    .nullish(),
});
type Lease = z.infer<typeof leaseSchema>;

/** Rejects with what the client rejects with, or with ZodError for an answer that is no Lease. */
export function createKubernetesLeases({ api, namespace, clock }: KubernetesLeasesOptions): LeaseBackend {
  const base = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
  const pathOf = (name: string): string => `${base}/${encodeURIComponent(PREFIX + name)}`;
  /** Since when the holder has it, which a renewal repeats. */
  const acquired = new Map<string, { readonly holder: string; readonly at: string }>();

  function remember(lease: Lease): LeaseRecord {
    const record = toRecord(lease);
    const { acquireTime } = lease.spec ?? {};
    if (typeof acquireTime === 'string')
      acquired.set(record.name, { holder: record.holder, at: acquireTime });
    return record;
  }

  function toObject({ name, holder, transitions, expected }: LeaseWrite): object {
    const now = microTime(clock.now());
    const known = acquired.get(name);
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: PREFIX + name,
        namespace,
        labels: LABELS,
        ...(expected !== undefined && preconditionsOf(expected)),
      },
      spec: {
        holderIdentity: holder,
        leaseTransitions: transitions,
        leaseDurationSeconds: LEASE_TIMING.durationMs / 1_000,
        acquireTime: known?.holder === holder ? known.at : now,
        renewTime: now,
      },
    };
  }

  return {
    async list(signal) {
      // Without a resourceVersion the server reads from etcd itself, all of it at one revision.
      const selector = new URLSearchParams({ labelSelector: labelSelector() }).toString();
      const body = await api.call({ method: 'GET', path: `${base}?${selector}`, signal });
      return z
        .object({ items: z.array(leaseSchema) })
        .parse(body)
        .items.map(remember);
    },
    put(write, signal) {
      const { name, expected } = write;
      const method = expected === undefined ? 'POST' : 'PUT';
      const path = expected === undefined ? base : pathOf(name);
      return unless(expected === undefined ? [EXISTS] : [CONFLICT, GONE], async () =>
        remember(leaseSchema.parse(await api.call({ method, path, body: toObject(write), signal }))),
      );
    },
    async remove({ name, version }, signal) {
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: preconditionsOf(version),
      };
      const removed = await unless([CONFLICT, GONE], async () => {
        await api.call({ method: 'DELETE', path: pathOf(name), body, signal });
        acquired.delete(name);
        return true;
      });
      return removed ?? false;
    },
  };
}

/** HTTP statuses that mean that somebody else was faster. */
const CONFLICT = 409;
const EXISTS = 409;
const GONE = 404;

/** Undefined when the server answered with one of the statuses. */
async function unless<T>(statuses: readonly number[], write: () => Promise<T>): Promise<T | undefined> {
  try {
    return await write();
  } catch (error) {
    const status: unknown = error instanceof Error ? Reflect.get(error, 'status') : undefined;
    if (typeof status === 'number' && statuses.includes(status)) return undefined;
    throw error;
  }
}

/**
 * A version is both: the API server makes a Lease that it is to update and that is gone, whatever resourceVersion it
 * should have had, but it never makes one with a given uid.
 */
function versionOf({ uid, resourceVersion }: Lease['metadata']): string {
  return `${uid}/${resourceVersion}`;
}

function preconditionsOf(version: string): { uid: string; resourceVersion: string } {
  const [uid = '', resourceVersion = ''] = version.split('/');
  return { uid, resourceVersion };
}

function toRecord({ metadata, spec }: Lease): LeaseRecord {
  return {
    name: metadata.name.slice(PREFIX.length),
    holder: spec?.holderIdentity ?? '',
    transitions: spec?.leaseTransitions ?? 0,
    version: versionOf(metadata),
  };
}

function labelSelector(): string {
  return Object.entries(LABELS)
    .map(([name, value]) => `${name}=${value}`)
    .join();
}

/** `metav1.MicroTime` wants six digits. Whether a lease is over is never judged by it. */
function microTime(now: number): string {
  return new Date(now).toISOString().replace('Z', '000Z');
}
