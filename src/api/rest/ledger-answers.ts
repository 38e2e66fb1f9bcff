/** What do the operators' routes about requests take and answer? Schemas in the wire's own names. */
import { z } from 'zod';

const moment = z.iso.datetime({ offset: true });
const HOUR_MS = 3_600_000;
/** Records are kept for days, not for years. */
const MOST_HOURS = 24 * 90;

const hours = z
  .string()
  .regex(/^[1-9][0-9]{0,3}$/, 'must be a whole number of hours')
  .transform((text) => Math.min(Number(text), MOST_HOURS) * HOUR_MS)
  .optional()
  .describe('Look back this many hours; 24 when absent.');
const limit = z
  .string()
  .regex(/^[1-9][0-9]{0,2}$/, 'must be a whole number from 1 to 999')
  .transform(Number)
  .optional()
  .describe('At most this many; 100 when absent.');
const latency = z
  .string()
  .regex(/^[0-9]{1,6}$/, 'must be a whole number of milliseconds')
  .transform(Number)
  .optional();

export const DEFAULT_HOURS_MS = 24 * HOUR_MS;
export const DEFAULT_LIMIT = 100;

export const requestsQuery = z.object({
  hours,
  limit,
  path_prefix: z.string().max(256).optional(),
  min_latency_ms: latency.describe('Only requests that took at least this long.'),
});
export const statsQuery = z.object({ hours });
export const auditQuery = z.object({
  limit,
  cursor: z
    .string()
    .regex(/^[0-9]{1,15}$/, 'must be the cursor of an earlier answer')
    .transform(Number)
    .optional(),
  tenant_id: z.uuid().optional(),
  subject: z.string().min(1).max(256).optional().describe('Who did it.'),
});

const requestSchema = z
  .object({
    timestamp: moment,
    year: z.int(),
    month: z.int(),
    day: z.int(),
    hour: z.int(),
    request_id: z.string(),
    method: z.string(),
    route: z.string(),
    path: z.string().nullable().describe('Null where it could hold a secret.'),
    query: z.record(z.string(), z.string()),
    status: z.int(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    latency_ms: z.number(),
    address: z.string(),
    country: z.string().nullable(),
    user_agent: z.string().nullable(),
    referer: z.string().nullable(),
    subject: z.string().nullable(),
    customer_id: z.string().nullable(),
    tenant_id: z.string().nullable(),
  })
  .meta({ id: 'Request' });

const endpointSchema = z
  .object({
    method: z.string(),
    route: z.string(),
    requests: z.int(),
    errors: z.int().describe('Answers of 400 and more.'),
    avg_latency_ms: z.number(),
    p95_latency_ms: z.number(),
  })
  .meta({ id: 'EndpointFigures' });

const auditEntrySchema = z
  .object({
    id: z.int(),
    at: moment,
    request_id: z.string(),
    subject: z.string(),
    role: z.string(),
    customer_id: z.string().optional(),
    address: z.string(),
    user_agent: z.string().optional(),
    method: z.string(),
    route: z.string(),
    params: z.record(z.string(), z.string()),
    status: z.int(),
    error_code: z.string().optional(),
    tenant_id: z.string().optional(),
    before: z
      .unknown()
      .optional()
      .describe('The fields that differ, as they were; absent for something new.'),
    after: z
      .unknown()
      .optional()
      .describe('The same fields as they are now; absent for something that is gone.'),
  })
  .meta({ id: 'AuditEntry' });

export const requestsAnswer = z.object({ data: z.array(requestSchema) });
export const statsAnswer = z.object({
  data: z.object({
    total_requests: z.int(),
    failures: z.int().describe('Answers of 500 and more.'),
    avg_latency_ms: z.number(),
    slow_endpoints: z.array(endpointSchema),
    error_endpoints: z.array(endpointSchema),
  }),
});
export const auditAnswer = z.object({
  data: z.array(auditEntrySchema),
  next_cursor: z.string().optional().describe('Present: there are older ones; send it back as `cursor`.'),
});

export type RequestView = z.infer<typeof requestSchema>;
export type EndpointView = z.infer<typeof endpointSchema>;
export type AuditView = z.infer<typeof auditEntrySchema>;
