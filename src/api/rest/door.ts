/**
 * Where do the `systemprompt` CLI and the dashboard knock? The routes of the REST door, a file a noun. Each handler
 * only changes or reads the tenant and answers; none ever waits for Fly to do something unless the client asks it to.
 */
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.ts';
import { openDoor, type DoorParts } from '../door.ts';
import { acceptJson, askOutside, parse } from '../edge.ts';
import type { Routes } from '../routes.ts';
import type { Streams } from '../streams.ts';
import * as answers from './answers.ts';
import { credentialRoutes, credentialsPath } from './credentials.ts';
import { databaseAccessRoute } from './database-access.ts';
import { deployRoute } from './deploy.ts';
import { domainRoutes } from './domains.ts';
import { environmentRoute } from './environment.ts';
import { writeEvents } from './events.ts';
import { ledgerRoutes } from './ledger-routes.ts';
import { logRoute } from './logs.ts';
import { metricRoutes } from './metrics.ts';
import { registryRoute } from './registry.ts';
import { eventsHeadersSchema, eventsQuerySchema } from './requests.ts';
import { revisionRoutes } from './revisions.ts';
import { secretRoutes } from './secrets.ts';
import { TAG, TENANT } from './tenant-of.ts';
import { tenantRoutes } from './tenants.ts';
import { verbRoutes } from './verb-routes.ts';
import { planView, statusView } from './view.ts';

export type DoorDependencies = DoorParts &
  Omit<ApiDependencies, 'health' | 'metrics'> & { readonly streams: Streams };

/** Planning observes Fly, which takes a few calls. */
const PLAN_TIMEOUT_MS = 20_000;
/** A browser comes back with its last event; a stream that lives for ever outlives the token that opened it. */
const EVENTS_LIFETIME_MS = 60 * 60_000;

/** Registers every route of the REST door. */
export function openRestDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  openDoor(scope, dependencies, {
    accept: (inside) => acceptJson(inside, ['application/json', 'application/merge-patch+json']),
    declare(routes) {
      for (const declare of [
        tenantRoutes,
        verbRoutes,
        deployRoute,
        revisionRoutes,
        statusRoute,
        planRoute,
        eventsRoute,
        environmentRoute,
        logRoute,
        metricRoutes,
        secretRoutes,
        credentialRoutes,
        databaseAccessRoute,
        domainRoutes,
        registryRoute,
        ledgerRoutes,
      ])
        declare(routes, dependencies);
    },
  });
}

function statusRoute(routes: Routes, { vault, subdomainSuffix }: DoorDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/status`,
      summary: 'How the tenant is doing',
      tag: TAG,
      access: 'owner',
      answers: { 200: answers.statusAnswer },
    },
    async ({ tenant }) => {
      const secretsUrl = await credentialsPath(vault, tenant.metadata.uid);
      const data = {
        ...statusView(tenant, subdomainSuffix),
        ...(secretsUrl !== undefined && { secrets_url: secretsUrl }),
      };
      return { data, ...data };
    },
  );
}

function planRoute(routes: Routes, { clock, planTenant }: DoorDependencies): void {
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
      answers: {},
      streams: true,
    },
    async ({ identity: { subject: holder }, tenant, query, request, reply }) => {
      const header = parse(eventsHeadersSchema, request.headers, 'the headers')['last-event-id'];
      const follow = query.follow !== undefined && !['0', 'false'].includes(query.follow);
      const afterId = header ?? query.last_event_id ?? 0;
      await dependencies.streams.serve(
        reply,
        { kind: 'events', contentType: 'text/event-stream', lifetimeMs: EVENTS_LIFETIME_MS, holder },
        (stream) => writeEvents({ ...dependencies, tenant, follow, afterId }, stream),
      );
      return reply;
    },
  );
}
