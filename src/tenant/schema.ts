/**
 * What is a Tenant? This is the only definition: the API and the store parse with it, the types come from it,
 * and `crds/tenants.yaml` is generated from it. The shape is that of any Kubernetes object.
 */
import { z } from 'zod';
import { conditionSchema, type Condition } from './conditions.ts';
import { IMAGE_PATTERN } from './image.ts';
import { API_VERSION, KIND } from './names.ts';
import { PHASES } from './phases.ts';
import { text } from './text.ts';

const timestamp = z.iso.datetime({ offset: true }).max(40);
/** Whatever Fly calls something: an id, a version, a state, an address. */
const word = text(128);
const dnsLabel = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be a DNS label: lowercase letters, digits and dashes');
const dnsName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/,
    'must be a DNS name in lowercase with at least one dot',
  );

/** Machine sizes on offer, in megabytes. */
export const MEMORY_SIZES_MB = [256, 512, 1024, 2048] as const;
/** Fly's own limit for one volume, in gigabytes. */
export const LARGEST_VOLUME_GB = 500;
/** Entries of `spec.env`. */
export const MOST_ENV_ENTRIES = 100;
/** Names that Landlord sets itself (`environment.ts`, and two secrets); `spec.env` may not shadow them. */
export const RESERVED_ENV = [
  'API_EXTERNAL_URL',
  'API_SERVER_URL',
  'APP_URL',
  'DATABASE_TYPE',
  'DATABASE_URL',
  'HOST',
  'JWT_ACCESS_TOKEN_EXPIRATION',
  'JWT_ISSUER',
  'JWT_SECRET',
  'PORT',
  'SYSTEMPROMPT_SERVICES_PATH',
  'TENANT_ID',
  'TENANT_NAME',
  'WEB_DIR',
] as const;

export const specSchema = z.strictObject({
  owner: text(128, { least: 1 }).describe('Customer who owns and pays for the tenant. Cannot be changed.'),
  plan: text(63, { least: 1 }).default('free').describe('Plan that the customer pays for.'),
  region: z
    .string()
    .regex(/^[a-z]{3}$/, 'must be a region code of three letters, such as iad')
    // The pattern says it as well, but the API server's estimate of what rules cost goes by the number.
    .meta({ maxLength: 3, description: 'Fly region. Cannot be changed once the volume exists.' }),
  memoryMb: z
    .literal(MEMORY_SIZES_MB)
    .default(512)
    .describe('Memory of the machine in megabytes: 256, 512, 1024 or 2048.'),
  volumeGb: z
    .int()
    .min(1)
    .max(LARGEST_VOLUME_GB)
    .default(1)
    .describe('Size of the data volume in gigabytes. May grow, never shrink.'),
  image: z
    .string()
    .max(512)
    .regex(
      new RegExp(IMAGE_PATTERN),
      'must read registry/repository:tag or registry/repository@sha256:digest',
    )
    .regex(/(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[a-f0-9]{64})$/, 'must name a tag or a digest')
    .optional()
    .describe(
      'Image to run. Absent: infrastructure only, no machine. A bare tag is resolved once a generation.',
    ),
  state: z
    .enum(['Running', 'Suspended'])
    .default('Running')
    .describe('Suspended: the machine is stopped and traffic does not wake it; data is kept.'),
  restartedAt: timestamp.optional().describe('A time newer than the last one served asks for one restart.'),
  retriedAt: timestamp
    .optional()
    .describe('A time newer than the last one served clears Stalled and the back-off.'),
  credentialsRotatedAt: timestamp
    .optional()
    .describe('A time newer than the last one served asks for one rotation of the database password.'),
  env: z.record(text(128), text(4096)).default({}).meta({
    maxProperties: MOST_ENV_ENTRIES,
    description: 'Environment of the machine. Not secret: anybody who may read the Tenant sees it.',
  }),
  hostnames: z
    .array(dnsName)
    .max(20)
    .default([])
    .describe('Custom hostnames beside the built-in one. Each gets a certificate.'),
  externalDatabaseAccess: z
    .boolean()
    .optional()
    .describe("Whether the tenant's database may be reached from outside, with the tenant's own password."),
  adopt: z
    .strictObject({ app: dnsLabel.describe('Name of the existing app on Fly.') })
    .optional()
    .describe('Take over an existing app instead of making one. Cannot be changed.'),
  deletionPolicy: z
    .enum(['Delete', 'Orphan'])
    .default('Delete')
    .describe('Orphan: deleting the Tenant leaves everything on Fly as it is.'),
  acknowledgedVolumeLoss: text(64)
    .optional()
    .describe(
      'Id of a lost volume (status.volume.id). Only with it is a new, empty volume made in its place.',
    ),
});

/** Conditions are a map by type: in the CRD `x-kubernetes-list-map-keys` says so. */
function refuseRepeated(conditions: readonly Condition[], context: z.RefinementCtx): void {
  const types = conditions.map(({ type }) => type);
  for (const [index, type] of types.entries())
    if (types.indexOf(type) < index)
      context.addIssue({ code: 'custom', path: [index], message: `repeats the type ${type}` });
}

export const statusSchema = z.object({
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .describe('Generation of the spec that this status speaks of.'),
  observedSecretsRevision: z
    .int()
    .min(0)
    .optional()
    .describe('Revision of the secrets that this status speaks of.'),
  lastHandledReconcileAt: word
    .optional()
    .describe('The reconcile-requested-at annotation that was served last.'),
  phase: z.enum(PHASES).optional().describe('One word for people; derived from the conditions.'),
  conditions: z.array(conditionSchema).max(32).superRefine(refuseRepeated).optional(),
  app: z.object({ name: word, id: word.optional() }).optional(),
  volume: z
    .object({ id: word, sizeGb: z.int().min(1), region: word })
    .optional()
    .describe('The data volume. Once set, no other volume is ever made without acknowledgedVolumeLoss.'),
  machine: z
    .object({
      id: word,
      version: word,
      state: word,
      imageDigest: word.optional(),
      memoryMb: z.int().optional(),
    })
    .optional(),
  image: z
    .object({ reference: text(512), digest: word, generation: z.int().min(1) })
    .optional()
    .describe('What spec.image resolved to, and at which generation.'),
  addresses: z.array(word).max(32).optional(),
  hostname: text(253).optional(),
  url: text(512).optional(),
  // Keys may end in a hostname; at most the old and the new ones of an edit at once.
  requested: z.record(text(300), timestamp).optional().meta({
    maxProperties: 64,
    description:
      'When the making of each thing was last asked of Fly: for a while afterwards, not found is not believed.',
  }),
  failure: z
    .object({
      step: word,
      reason: word,
      message: text(1024),
      attempts: z.int().min(1),
      terminal: z.boolean().describe('True: not tried again until the spec, a retry or a secret changes.'),
      generation: z.int().min(0),
      secretsRevision: z.int().min(0).optional(),
      nextAttemptAt: timestamp.optional(),
      others: z
        .array(z.object({ step: word, reason: word, message: text(1024) }))
        .max(32)
        .optional()
        .describe('Other steps that failed for good, and are not tried again until then either.'),
    })
    .optional(),
});

/** All together have a bound, which the store holds. */
const annotations = z.record(z.string().max(317), z.string());

export const metadataSchema = z.object({
  name: dnsLabel,
  namespace: dnsLabel,
  uid: z.uuid(),
  resourceVersion: z.string(),
  generation: z.int().min(1),
  creationTimestamp: timestamp,
  deletionTimestamp: timestamp.optional(),
  finalizers: z.array(z.string().max(317)).max(32).optional(),
  labels: z.record(z.string().max(317), z.string().max(63)).optional(),
  annotations: annotations.optional(),
});

export const tenantSchema = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(KIND),
  metadata: metadataSchema,
  spec: specSchema,
  status: statusSchema.optional(),
});

export type TenantSpec = Readonly<z.infer<typeof specSchema>>;
export type TenantStatus = Readonly<z.infer<typeof statusSchema>>;
export type TenantMetadata = Readonly<z.infer<typeof metadataSchema>>;
export type Failure = NonNullable<TenantStatus['failure']>;
export interface Tenant {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: typeof KIND;
  readonly metadata: TenantMetadata;
  readonly spec: TenantSpec;
  readonly status?: TenantStatus | undefined;
}
