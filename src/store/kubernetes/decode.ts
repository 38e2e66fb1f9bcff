/**
 * How does an object of the API server become a Tenant? Through the one schema. The server has checked it against the
 * definition that it has, which may be another one than ours: an older or a newer Landlord applied it. What fits in
 * outline is handed out as it is, as in the postgres store, because to leave it out would tell the loop that the
 * tenant was deleted. What does not even fit in outline is left out: it could only break whoever reads it. Both are
 * logged once and counted, and neither ends a list or a watch.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { z } from 'zod';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import { metadataSchema, tenantSchema, type Tenant } from '../../tenant/schema.ts';

export interface Decoder {
  /** Undefined for an object that is of no use. */
  decode(stored: unknown): Tenant | undefined;
  /** As it is, with nothing but its metadata checked: enough to tell of a deletion. */
  outline(stored: unknown): Tenant | undefined;
}

/** What becomes of an object that does not fit the schema. */
export type Misfit = 'used' | 'left out';

const MOST_COMPLAINTS_KEPT = 1_000;

/** Types without ranges: whoever reads a tenant may rely on these, whatever the values are. */
const outlineSchema = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(KIND),
  metadata: metadataSchema,
  spec: z.looseObject({
    owner: z.string(),
    plan: z.string(),
    region: z.string(),
    memoryMb: z.number(),
    volumeGb: z.number(),
    image: z.string().optional(),
    state: z.string(),
    env: z.record(z.string(), z.string()),
    hostnames: z.array(z.string()),
    deletionPolicy: z.string(),
  }),
  status: z.looseObject({ conditions: z.array(z.looseObject({ type: z.string() })).optional() }).optional(),
});
const barestSchema = outlineSchema.pick({ metadata: true });

export function createDecoder(options: {
  readonly log: Logger;
  readonly onMisfit: (misfit: Misfit) => void;
}): Decoder {
  /** Version of each object that was complained of: once for each is enough. */
  const complaints = new LRUCache<string, string>({ max: MOST_COMPLAINTS_KEPT });

  function complain(stored: unknown, problem: { misfit: Misfit; error: z.ZodError }): void {
    const named = namedSchema.safeParse(stored);
    const { uid, resourceVersion, ...name } = named.success ? named.data.metadata : NAMELESS;
    if (complaints.get(uid) === resourceVersion) return;
    complaints.set(uid, resourceVersion);
    options.onMisfit(problem.misfit);
    const paths = problem.error.issues.map((issue) => issue.path.join('.'));
    options.log.error(
      { uid, ...name, paths: paths.slice(0, 10) },
      problem.misfit === 'used'
        ? 'a stored tenant does not fit the schema; it is used as it is'
        : 'a stored tenant does not fit the schema even in outline; it is left out',
    );
  }

  return {
    decode(stored) {
      const parsed = tenantSchema.safeParse(stored);
      if (parsed.success) return parsed.data;
      const outlined = outlineSchema.safeParse(stored);
      complain(stored, {
        misfit: outlined.success ? 'used' : 'left out',
        error: outlined.success ? parsed.error : outlined.error,
      });
      // An edge: the types fit, the values are the server's.
      return outlined.success ? (outlined.data as unknown as Tenant) : undefined;
    },
    outline(stored) {
      const tenant = this.decode(stored);
      if (tenant !== undefined) return tenant;
      const bare = barestSchema.safeParse(stored);
      // An edge: of a tenant that is gone only its metadata matters.
      return bare.success ? ({ ...(stored as object), ...bare.data } as unknown as Tenant) : undefined;
    },
  };
}

const namedSchema = z.object({
  metadata: z.object({
    uid: z.string(),
    resourceVersion: z.string(),
    namespace: z.string(),
    name: z.string(),
  }),
});
const NAMELESS = { uid: '', resourceVersion: '', namespace: '', name: '' };
