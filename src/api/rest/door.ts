/**
 * Where do the `systemprompt` CLI and the dashboard knock? The routes of the REST door, a file a noun. Each handler
 * only parses, finds the tenant, changes or reads it, and answers; none ever waits for Fly to do something.
 */
import type { FastifyInstance } from 'fastify';
import { findTenant, identityOf, requireIdentity, requireSubscription } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, askOutside, parse } from '../edge.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import type { Streams } from '../streams.ts';
import { credentialRoutes, credentialsPath } from './credentials.ts';
import { databaseAccessRoute } from './database-access.ts';
import { deployImage, deployView } from './deploy.ts';
import { domainRoutes } from './domains.ts';
import { environmentRoute } from './environment.ts';
import { writeEvents } from './events.ts';
import { logRoute } from './logs.ts';
import { metricRoutes } from './metrics.ts';
import { registryRoute } from './registry.ts';
import { deploySchema, eventsHeadersSchema, eventsQuerySchema } from './requests.ts';
import { revisionRoutes } from './revisions.ts';
import { secretRoutes } from './secrets.ts';
import { accepted, TENANT } from './tenant-of.ts';
import { tenantRoutes } from './tenants.ts';
import { planView, statusView } from './view.ts';

export type DoorDependencies = Omit<ApiDependencies, 'health' | 'metrics'> & {
  readonly streams: Streams;
};

/** Planning observes Fly, which takes a few calls. */
const PLAN_TIMEOUT_MS = 20_000;
/** A browser comes back with its last event; a stream that lives for ever outlives the token that opened it. */
const EVENTS_LIFETIME_MS = 60 * 60_000;

/** Registers every route below `/api/v1/tenants`. */
export function openRestDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(dependencies.auth));
  acceptJson(scope, ['application/json', 'application/merge-patch+json']);
  for (const register of [
    tenantRoutes,
    deployRoute,
    revisionRoutes,
    readRoutes,
    eventsRoute,
    environmentRoute,
    logRoute,
    metricRoutes,
    secretRoutes,
    credentialRoutes,
    databaseAccessRoute,
    domainRoutes,
    registryRoute,
  ])
    register(scope, dependencies);
  refuseOtherMethods(scope, routes);
}

function deployRoute(scope: FastifyInstance, dependencies: DoorDependencies): void {
  scope.post(`${TENANT}/deploy`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const { image } = parse(deploySchema, request.body, 'the body');
    await requireSubscription(dependencies, request, tenant);
    const ifMatch = request.headers['if-match'];
    const deployedBy = identityOf(request).subject;
    const changed = await deployImage(dependencies, { tenant, image, ifMatch, deployedBy, reply });
    const data = deployView(changed, dependencies.subdomainSuffix);
    // The CLI reads `data`; scripts from before the envelope read the top level.
    return accepted(reply, changed).send({ data, status: data.status, url: data.url });
  });
}

function readRoutes(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const { clock, planTenant, subdomainSuffix, vault } = dependencies;

  scope.get(`${TENANT}/status`, async (request) => {
    const tenant = await findTenant(dependencies, request);
    const secretsUrl = await credentialsPath(vault, tenant.metadata.uid);
    const data = {
      ...statusView(tenant, subdomainSuffix),
      ...(secretsUrl !== undefined && { secrets_url: secretsUrl }),
    };
    return { data, ...data };
  });

  scope.get(`${TENANT}/plan`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const problem = `cannot plan tenant "${tenant.metadata.uid}": its present state cannot be observed`;
    const plan = await askOutside({ reply, clock, timeoutMs: PLAN_TIMEOUT_MS, problem }, (signal) =>
      planTenant(tenant, signal),
    );
    return { data: planView(plan) };
  });
}

function eventsRoute(scope: FastifyInstance, dependencies: DoorDependencies): void {
  scope.get(`${TENANT}/events`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const query = parse(eventsQuerySchema, request.query, 'the query');
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
        writeEvents({ ...dependencies, tenant, follow, afterId: header ?? query.last_event_id ?? 0 }, stream),
    );
    return reply;
  });
}
