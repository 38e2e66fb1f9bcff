/**
 * What may a client of the REST door send? The schemas of its bodies and queries, in the wire's own names, and what
 * a patch makes of a spec.
 */
import { z } from 'zod';
import type { NewTenant } from '../../store/store.ts';
import { FINALIZER } from '../../tenant/names.ts';
import { LARGEST_VOLUME_GB, MEMORY_SIZES_MB, type Tenant, type TenantSpec } from '../../tenant/schema.ts';
import { refuseDeleted } from './verbs.ts';

/** Tenants in one answer when the client does not say: more than any customer has, so that the CLI sees all. */
const DEFAULT_PAGE = 500;

export const listQuerySchema = z.object({
  limit: z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, 'must be a whole number from 1 to 9999')
    .transform((text) => Math.min(Number(text), DEFAULT_PAGE))
    .default(DEFAULT_PAGE),
  cursor: z.string().min(1).max(4096).optional(),
});

export const patchSchema = z.strictObject({
  memory_mb: z.union(MEMORY_SIZES_MB.map((size) => z.literal(size))).optional(),
  volume_gb: z.int().min(1).max(LARGEST_VOLUME_GB).optional(),
  status: z.enum(['active', 'suspended']).optional(),
  /** Merged into what is set; null removes a variable. */
  env: z.record(z.string(), z.string().nullable()).optional(),
  /** Replaces the whole list. */
  hostnames: z.array(z.string()).optional(),
});

export type TenantPatch = z.infer<typeof patchSchema>;

/** `POST /tenants`, for operators: a tenant is otherwise made by its subscription. */
export const createSchema = z.strictObject({
  name: z.string(),
  owner_customer_id: z.string(),
  region: z.string(),
  plan: z.string().optional(),
  memory_mb: patchSchema.shape.memory_mb,
  volume_gb: patchSchema.shape.volume_gb,
  image: z.string().optional(),
});

export const deploySchema = z.strictObject({ image: z.string().min(1).max(512) });

/** Clients give up sooner than a proxy does; a longer wait is a poll of `/status`, or the stream of events. */
const LONGEST_WAIT_SECONDS = 120;

/** For whatever changes a tenant: `?wait=20` answers when the change is done, or after that many seconds. */
export const waitQuerySchema = z.object({
  wait: z
    .string()
    .regex(/^[0-9]{1,3}$/, 'must be a whole number of seconds')
    .transform((text) => Math.min(Number(text), LONGEST_WAIT_SECONDS) * 1000)
    .optional()
    .describe(
      `Seconds to wait until the change is done: 200 when it is, else 202. At most ${LONGEST_WAIT_SECONDS}.`,
    ),
});

/** Verbs say all there is to say by their path; some clients send an empty object or null along. */
export const verbSchema = z.strictObject({}).nullish();

const eventId = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'must be the id of an event')
  .transform(Number)
  .optional();

export const eventsQuerySchema = z.object({
  follow: z.enum(['0', '1', 'false', 'true', '']).optional(),
  last_event_id: eventId,
});

/** The header with which a browser resumes a stream. */
export const eventsHeadersSchema = z.object({ 'last-event-id': eventId });

/** The tenant that an operator asks for. Whether it is a valid one, the store decides. */
export function newTenant(request: z.infer<typeof createSchema>): NewTenant {
  const {
    name,
    owner_customer_id: owner,
    region,
    plan,
    memory_mb: memoryMb,
    volume_gb: volumeGb,
    image,
  } = request;
  const given = Object.entries({ owner, region, plan, memoryMb, volumeGb, image });
  return {
    metadata: { namespace: 'default', name, finalizers: [FINALIZER] },
    spec: Object.fromEntries(given.filter(([, value]) => value !== undefined)),
  };
}

/** The spec that a patch asks for. Whether it is a valid one, the store decides. */
export function applyPatch(tenant: Tenant, patch: TenantPatch): TenantSpec {
  refuseDeleted(tenant, 'change');
  const { spec } = tenant;
  return {
    ...spec,
    memoryMb: patch.memory_mb ?? spec.memoryMb,
    volumeGb: patch.volume_gb ?? spec.volumeGb,
    state: patch.status === undefined ? spec.state : STATES[patch.status],
    env: mergeEnv(spec.env, patch.env ?? {}),
    hostnames: patch.hostnames ?? spec.hostnames,
  };
}

const STATES = { active: 'Running', suspended: 'Suspended' } as const;

function mergeEnv(
  env: TenantSpec['env'],
  changes: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const merged = new Map<string, string | null>(Object.entries({ ...env, ...changes }));
  return Object.fromEntries([...merged].filter((entry): entry is [string, string] => entry[1] !== null));
}
