/**
 * What does Paddle tell us? A delivery is believed when its signature fits, stored, and only then answered; what
 * follows from it is the business of the subscription reconciler. Operators can look into the inbox and have a
 * notification processed anew.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Billing } from '../../accounts/accounts.ts';
import type { InboxEntry } from '../../accounts/inbox.ts';
import { notificationSchema } from '../../accounts/paddle-events.ts';
import { requireOperator } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptText, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import { inboxQuerySchema, type inboxAnswerSchema, type webhookAnswerSchema } from './account-schemas.ts';

const PATHS = ['/webhooks/paddle', '/api/v1/webhooks/paddle'] as const;
const EVENTS = `${PATHS[1]}/events`;

export type WebhookDependencies = Pick<ApiDependencies, 'accounts' | 'auth'>;

export function openWebhookDoor(scope: FastifyInstance, dependencies: WebhookDependencies): void {
  const routes = collectRoutes(scope);
  acceptText(scope);
  for (const path of PATHS) scope.post(path, (request) => receive(billingOf(dependencies), request));

  const operatorsOnly = { onRequest: requireOperator(dependencies.auth) };
  scope.get(EVENTS, operatorsOnly, async (request): Promise<z.infer<typeof inboxAnswerSchema>> => {
    const { state, limit, before } = parse(inboxQuerySchema, request.query, 'the query');
    const entries = await billingOf(dependencies).inbox.list({
      unprocessed: state === 'unprocessed',
      limit,
      ...(before !== undefined && { before }),
    });
    return { data: entries.map(entryView) };
  });

  scope.post(`${EVENTS}/:event/replay`, operatorsOnly, async (request, reply) => {
    const { event } = parse(z.object({ event: z.string() }), request.params, 'the path');
    if (!(await billingOf(dependencies).inbox.replay(event)))
      throw new ApiError(
        'event_not_found',
        `cannot replay notification "${event}": there is nothing to do with it`,
      );
    return accepted(reply);
  });

  refuseOtherMethods(scope, routes);
}

async function receive(
  { paddle, inbox }: Billing,
  request: FastifyRequest,
): Promise<z.infer<typeof webhookAnswerSchema>> {
  const signature = request.headers['paddle-signature'];
  const body = typeof request.body === 'string' ? request.body : '';
  if (typeof signature !== 'string' || !(await paddle.isSigned(body, signature)))
    throw new ApiError('unauthorized', 'cannot take the notification: Paddle has not signed it just now');
  const notification = parse(notificationSchema, parseJson(body), 'the notification');
  const stored = await inbox.store(notification);
  request.log.info(
    { event: notification.event_id, type: notification.event_type, stored },
    'Paddle told something',
  );
  return { received: true, duplicate: !stored };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new ApiError('invalid_request', 'cannot read the notification: it is not JSON');
  }
}

/** Throws ApiError `billing_disabled` where nothing can be bought. */
export function billingOf({ accounts }: Pick<ApiDependencies, 'accounts'>): Billing {
  if (accounts.billing !== undefined) return accounts.billing;
  throw new ApiError(
    'billing_disabled',
    'cannot do this: billing is off; the operator must set PADDLE_API_KEY and PADDLE_WEBHOOK_SECRET',
  );
}

function accepted(reply: FastifyReply): FastifyReply {
  return reply.code(202).send({ status: 'accepted' });
}

function entryView(entry: InboxEntry): z.infer<typeof inboxAnswerSchema>['data'][number] {
  return {
    id: entry.id,
    type: entry.type,
    occurred_at: entry.occurredAt,
    received_at: entry.receivedAt,
    ...(entry.subscriptionId !== undefined && { subscription_id: entry.subscriptionId }),
    ...(entry.processedAt !== undefined && { processed_at: entry.processedAt }),
    ...(entry.problem !== undefined && { problem: entry.problem }),
  };
}
