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
import type { ApiDependencies } from '../dependencies.ts';
import { openDoor, type DoorParts } from '../door.ts';
import { acceptText, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import {
  inboxAnswerSchema,
  inboxQuerySchema,
  replayAnswerSchema,
  webhookAnswerSchema,
} from './account-schemas.ts';
import { TAG } from './plans-door.ts';

const PATHS = ['/webhooks/paddle', '/api/v1/webhooks/paddle'] as const;
const EVENTS = `${PATHS[1]}/events`;

export type WebhookDependencies = DoorParts;

export function openWebhookDoor(scope: FastifyInstance, dependencies: WebhookDependencies): void {
  openDoor(scope, dependencies, {
    accept: acceptText,
    declare(routes) {
      receiveRoutes(routes, dependencies);
      inboxRoutes(routes, dependencies);
    },
  });
}

function receiveRoutes(routes: Routes, dependencies: WebhookDependencies): void {
  for (const path of PATHS)
    routes.add(
      {
        method: 'POST',
        path,
        summary: 'What Paddle tells, signed by it',
        tag: TAG,
        access: 'public',
        unlimited: true,
        otherBody: { contentType: 'application/json', schema: notificationSchema },
        answers: { 200: webhookAnswerSchema },
        errors: ['unauthorized', 'billing_disabled'],
      },
      ({ request }) => receive(billingOf(dependencies), request),
    );
}

function inboxRoutes(routes: Routes, dependencies: WebhookDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: EVENTS,
      summary: 'What Paddle has told, newest first',
      tag: TAG,
      access: 'operator',
      query: inboxQuerySchema,
      answers: { 200: inboxAnswerSchema },
      errors: ['billing_disabled'],
    },
    async ({ query: { state, limit, before } }): Promise<z.infer<typeof inboxAnswerSchema>> => {
      const entries = await billingOf(dependencies).inbox.list({
        unprocessed: state === 'unprocessed',
        limit,
        ...(before !== undefined && { before }),
      });
      return { data: entries.map(entryView) };
    },
  );
  routes.add(
    {
      method: 'POST',
      path: `${EVENTS}/:event/replay`,
      summary: 'Process a notification anew',
      tag: TAG,
      access: 'operator',
      params: z.object({ event: z.string() }),
      answers: { 202: replayAnswerSchema },
      errors: ['event_not_found', 'billing_disabled'],
    },
    async ({ params: { event }, reply }) => {
      if (!(await billingOf(dependencies).inbox.replay(event)))
        throw new ApiError(
          'event_not_found',
          `cannot replay notification "${event}": there is nothing to do with it`,
        );
      return accepted(reply);
    },
  );
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
