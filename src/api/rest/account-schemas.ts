/**
 * What do accounts and billing read and answer on the wire? Every body and answer as a schema, in the wire's own
 * names, so that the routes parse with them and a description of the API can be made from them. Lists are never null
 * and words are closed, because the CLI decodes them so.
 */
import { z } from 'zod';
import { SUBSCRIPTION_STATUSES } from '../../accounts/paddle-events.ts';

const id = z.string();
const instant = z.iso.datetime({ offset: true });

/** `GET /auth/oauth/{provider}`. */
export const authorizeQuerySchema = z.object({ redirect_uri: z.string().min(1).max(2_048) });
export const authorizeAnswerSchema = z.object({ authorize_url: z.string() });

/** `POST /core/oauth/token`: RFC 8693. Parameters that we do not know are ignored, as OAuth wants it. */
export const tokenFormSchema = z.object({
  grant_type: z.string(),
  subject_token: z.string().optional(),
  subject_token_type: z.string().optional(),
  resource: z.string().optional(),
  client_id: z.string().optional(),
});
export const tokenAnswerSchema = z.object({
  access_token: z.string(),
  issued_token_type: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.int(),
});
export const tokenErrorSchema = z.object({
  error: z.enum([
    'invalid_request',
    'invalid_client',
    'invalid_grant',
    'invalid_target',
    'unsupported_grant_type',
  ]),
  error_description: z.string(),
});

/** `GET /.well-known/jwks.json`: RFC 7517. */
export const keySetSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) });

/** `GET /auth/me`. */
export const meAnswerSchema = z.object({
  user: z.object({ id, email: z.string(), name: z.string().optional() }),
  customer: z.object({ id, status: z.string() }).optional(),
  tenants: z.array(
    z.object({
      id,
      name: z.string(),
      subscription_id: id.optional(),
      subscription_status: z.enum(SUBSCRIPTION_STATUSES).optional(),
      app_id: z.string().optional(),
      hostname: z.string(),
      region: z.string(),
      status: z.enum(['pending', 'active', 'suspended', 'deleted']),
      plan: z.object({ id, name: z.string(), memory_mb: z.int(), volume_gb: z.int() }),
      external_db_access: z.boolean(),
      database_url: z.string(),
    }),
  ),
});

/** `POST /activity`: the CLI tells of logins and logouts. */
export const activitySchema = z.object({
  event: z.enum(['cloud_login', 'cloud_logout']),
  timestamp: instant,
  data: z.object({ user_id: z.string().max(320) }),
});

/** `GET /plans` and `GET /checkout/plans`: one entry for each price. */
export const plansAnswerSchema = z.array(
  z.object({
    id,
    name: z.string(),
    paddle_price_id: z.string(),
    memory_mb_default: z.int(),
    volume_gb: z.int(),
    max_tenants: z.int().nullable(),
    price: z.object({ amount: z.int(), currency: z.string(), interval: z.string() }),
  }),
);

/** `POST /checkout`. */
export const checkoutSchema = z.object({
  price_id: z.string().min(1).max(128),
  region: z.string().min(1).max(16),
  redirect_uri: z.string().min(1).max(2_048).nullish(),
  /** Wish for the tenant's name; a suffix makes it unique. */
  name: z.string().min(1).max(64).nullish(),
});
/** `POST /tenants/{id}/subscription`. */
export const subscribeSchema = checkoutSchema.pick({ price_id: true, redirect_uri: true });
export const checkoutAnswerSchema = z.object({
  checkout_url: z.string(),
  transaction_id: z.string(),
  checkout_session_id: z.string(),
});

/** `GET /tenants/{id}/subscription`. */
export const subscriptionAnswerSchema = z.object({
  data: z.object({
    id,
    status: z.enum(SUBSCRIPTION_STATUSES),
    plan_id: z.string().optional(),
    price_id: z.string(),
    current_period_start: instant.optional(),
    current_period_end: instant.optional(),
    /** When a cancellation that was asked for takes effect. */
    cancels_at: instant.optional(),
    /** Until when a tenant whose subscription is not good goes on running. */
    grace_until: instant.optional(),
  }),
});

/** `POST /webhooks/paddle`. */
export const webhookAnswerSchema = z.object({ received: z.literal(true), duplicate: z.boolean() });

/** `GET /webhooks/paddle/events`, for operators. */
export const inboxQuerySchema = z.object({
  state: z.enum(['all', 'unprocessed']).default('all'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  before: z.string().max(128).optional(),
});
export const inboxAnswerSchema = z.object({
  data: z.array(
    z.object({
      id,
      type: z.string(),
      subscription_id: id.optional(),
      occurred_at: instant,
      received_at: instant,
      processed_at: instant.optional(),
      problem: z.string().optional(),
    }),
  ),
});

/** `POST /webhooks/paddle/events/{event}/replay`. */
export const replayAnswerSchema = z.object({ status: z.literal('accepted') });
