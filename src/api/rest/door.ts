/**
 * Where do the `systemprompt` CLI and the dashboard knock? The routes of the REST door. Each handler only
 * reads or changes the tenant and answers; none ever waits for Fly.
 */
import type { FastifyInstance } from 'fastify';
import { identityOf } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { openDoor, type DoorParts } from '../door.ts';
import { acceptJson, asParameterError, askOutside, parse } from '../edge.ts';
import type { Routes } from '../routes.ts';
import type { Streams } from '../streams.ts';
import * as answers from './answers.ts';
import { changeRoutes } from './change-routes.ts';
import { entityTag } from './change.ts';
import { writeEvents } from './events.ts';
import { ledgerRoutes } from './ledger-routes.ts';
import { TAG, TENANT, TENANTS } from './paths.ts';
import { eventsHeadersSchema, eventsQuerySchema, listQuerySchema } from './requests.ts';
import { planView, statusView, tenantView } from './view.ts';

export type DoorDependencies = DoorParts &
  Omit<ApiDependencies, 'health' | 'metrics' | 'log'> & { readonly streams: Streams };

/** Planning observes Fly, which takes a few calls. */
const PLAN_TIMEOUT_MS = 20_000;
/** A browser comes back with its last event; a stream that lives for ever outlives the token that opened it. */
const EVENTS_LIFETIME_MS = 60 * 60_000;

/** Registers every route of the REST door. */
export function openRestDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  openDoor(scope, dependencies, {
    accept: (inside) => acceptJson(inside, ['application/json', 'application/merge-patch+json']),
    declare(routes) {
      tenantRoutes(routes, dependencies);
      changeRoutes(routes, dependencies);
      readRoutes(routes, dependencies);
      eventsRoute(routes, dependencies);
      ledgerRoutes(routes, dependencies);
    },
  });
}

function tenantRoutes(routes: Routes, { store, subdomainSuffix }: DoorDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: TENANTS,
      summary: 'Tenants of the caller; to an operator, all',
      tag: TAG,
      access: 'caller',
      query: listQuerySchema,
      answers: { 200: answers.tenantListAnswer },
      errors: ['expired'],
    },
    async ({ identity: { role, customer }, query: { limit, cursor } }) => {
      // Whoever is nobody's customer yet owns nothing.
      if (role !== 'operator' && customer === undefined) return { data: [] };
      const list = await store
        .list({
          limit,
          ...(cursor !== undefined && { continue: cursor }),
          ...(role !== 'operator' && customer !== undefined && { owner: customer }),
        })
        .catch((error: unknown) => {
          throw asParameterError(error);
        });
      return {
        data: list.items.map((tenant) => tenantView(tenant, subdomainSuffix)),
        next_cursor: list.continue,
      };
    },
  );
  routes.add(
    {
      method: 'GET',
      path: TENANT,
      summary: 'One tenant',
      tag: TAG,
      access: 'owner',
      versioned: true,
      answers: { 200: answers.tenantAnswer },
    },
    ({ tenant, request, reply }) => {
      const etag = entityTag(tenant);
      reply.header('etag', etag);
      if (request.headers['if-none-match']?.split(',').some((tag) => tag.trim() === etag) === true)
        return reply.code(304).send();
      return { data: tenantView(tenant, subdomainSuffix) };
    },
  );
}

function readRoutes(routes: Routes, dependencies: DoorDependencies): void {
  const { clock, planTenant, subdomainSuffix } = dependencies;
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/status`,
      summary: 'How the tenant is doing',
      tag: TAG,
      access: 'owner',
      answers: { 200: answers.statusAnswer },
    },
    ({ tenant }) => {
      const data = statusView(tenant, subdomainSuffix);
      return { data, ...data };
    },
  );
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/plan`,
      summary: 'What the controller would do next, and why',
      tag: TAG,
      access: 'owner',
      answers: { 200: answers.planAnswer },
    },
    async ({ tenant, reply }) => {
      const problem = `cannot plan tenant "${tenant.metadata.uid}": its present state cannot be observed`;
      const plan = await askOutside({ reply, clock, timeoutMs: PLAN_TIMEOUT_MS, problem }, (signal) =>
        planTenant(tenant, signal),
      );
      return { data: planView(plan) };
    },
  );
}

function eventsRoute(routes: Routes, dependencies: DoorDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/events`,
      summary: 'What happened to the tenant, then what happens; resumes from Last-Event-ID',
      tag: TAG,
      access: 'owner',
      query: eventsQuerySchema,
      answers: { 200: { contentType: 'text/event-stream', description: 'Server-sent events.' } },
      errors: ['too_many_streams'],
    },
    async ({ tenant, query, request, reply }) => {
      const header = parse(eventsHeadersSchema, request.headers, 'the headers')['last-event-id'];
      const follow = query.follow !== undefined && !['0', 'false'].includes(query.follow);
      await dependencies.streams.serve(
        reply,
        {
          kind: 'events',
          contentType: 'text/event-stream',
          lifetimeMs: EVENTS_LIFETIME_MS,
          holder: identityOf(request).subject,
        },
        (stream) =>
          writeEvents(
            { ...dependencies, tenant, follow, afterId: header ?? query.last_event_id ?? 0 },
            stream,
          ),
      );
      return reply;
    },
  );
}
