/**
 * What does the REST door answer? The schemas of its bodies, in the wire's own names. The views are typed by them,
 * the reference is made of them, and tests hold every answer to them.
 */
import { z } from 'zod';
import { PHASES } from '../../tenant/phases.ts';

const moment = z.iso.datetime({ offset: true });
const flyStatus = z.enum(['pending', 'awaiting_deploy', 'running', 'failed', 'suspended', 'deleting']);

export const tenantViewSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    owner_customer_id: z.string(),
    status: z
      .enum(['pending', 'active', 'suspended', 'deleted'])
      .describe('What it is as a thing that somebody owns.'),
    phase: z.enum(PHASES).describe('What it is doing, in one word.'),
    fly_status: flyStatus.describe('Phase in the words of older clients.'),
    region: z.string(),
    memory_mb: z.int(),
    volume_gb: z.int(),
    plan: z.object({ id: z.string(), name: z.string(), memory_mb: z.int(), volume_gb: z.int() }),
    image: z.string().optional().describe('Absent: nothing was deployed yet.'),
    env: z.record(z.string(), z.string()),
    hostnames: z.array(z.string()),
    app_id: z.string().optional(),
    fly_app_name: z.string().optional(),
    fly_machine_id: z.string().optional(),
    fly_volume_id: z.string().optional(),
    fly_hostname: z.string(),
    hostname: z.string(),
    app_url: z.string(),
    url: z.string(),
    generation: z.int().min(1).describe('Grows with every change of what is wanted.'),
    observed_generation: z.int().min(0).describe('The generation that was last looked at.'),
    created_at: moment,
    deleted_at: moment.optional().describe('Present: it is being deleted.'),
  })
  .meta({ id: 'Tenant' });

const failureSchema = z.object({
  step: z.string(),
  reason: z.string(),
  message: z.string(),
  attempts: z.int().min(1),
  terminal: z.boolean().describe('True: tried again only after a change, a retry or a new secret.'),
  next_attempt_at: moment.optional(),
});

const conditionSchema = z.object({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  last_transition_time: moment,
  observed_generation: z.int().min(0),
});

export const statusViewSchema = z
  .object({
    status: z
      .enum(['pending', 'provisioning', 'ready', 'failed', 'suspended', 'deleted'])
      .describe('Poll until it is ready or failed.'),
    phase: z.enum(PHASES),
    fly_status: flyStatus,
    machine_state: z.string().optional().describe('In the words of Fly.'),
    deployed: z.boolean(),
    message: z.string().describe('A sentence for people.'),
    app_url: z.string(),
    url: z.string(),
    generation: z.int().min(1),
    observed_generation: z.int().min(0),
    failure: failureSchema.optional(),
    conditions: z.array(conditionSchema),
    secrets_url: z
      .string()
      .optional()
      .describe('Opens the credentials once. Present until somebody has done so.'),
  })
  .meta({ id: 'TenantStatus' });

export const planViewSchema = z
  .object({
    generation: z.int().min(1),
    converged: z.boolean().describe('True: nothing to do, to wait for, or to complain of.'),
    steps: z.array(
      z.object({
        kind: z.string(),
        part: z.string(),
        target: z.string(),
        why: z.string(),
        needs: z.array(z.string()).readonly().describe('Kinds of the steps that come first.'),
      }),
    ),
    waits: z.array(
      z.object({
        part: z.string(),
        reason: z.string(),
        message: z.string(),
        retry_after_ms: z.number(),
      }),
    ),
    problems: z.array(z.object({ part: z.string(), reason: z.string(), message: z.string() })),
  })
  .meta({ id: 'Plan' });

export const tenantAnswer = z.object({ data: tenantViewSchema });
export const tenantListAnswer = z.object({
  data: z.array(tenantViewSchema),
  next_cursor: z.string().optional().describe('Present: there are more; send it back as `cursor`.'),
});
/** The body is the status both in the envelope and bare, for clients from before the envelope. */
export const statusAnswer = statusViewSchema.extend({ data: statusViewSchema });
export const planAnswer = z.object({ data: planViewSchema });
/** A verb that answers bare, because the CLI decodes it so. */
export const verbAnswer = z.object({ status: z.string() });

export const issueSchema = z.object({
  path: z.string().describe('The field, such as `memory_mb` or `hostnames[1]`.'),
  message: z.string(),
});

export const errorAnswer = z
  .object({
    error: z.object({
      code: z.string().describe('Stable: programs go by it.'),
      message: z.string().describe('For people; may change.'),
      request_id: z.string(),
      issues: z.array(issueSchema).optional(),
    }),
  })
  .meta({ id: 'Error' });

/** RFC 9457. */
export const problemAnswer = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string().describe('The same as in the other shape.'),
    issues: z.array(issueSchema).optional(),
  })
  .meta({ id: 'Problem' });

export type TenantView = z.infer<typeof tenantViewSchema>;
export type StatusView = z.infer<typeof statusViewSchema>;
