/**
 * Where do the `systemprompt` CLI and the dashboard knock? The routes of the REST door. Each handler only parses,
 * finds the tenant, changes or reads it, and answers; none ever waits for Fly.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import {
  findTenant,
  identityOf,
  requireIdentity,
  requireSubscription,
  requireWithinPlan,
} from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, asParameterError, askOutside, parse } from '../edge.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import type { Streams } from '../streams.ts';
import { changeSpec, deleteTenant, entityTag } from './change.ts';
import { deployImage, deployView } from './deploy.ts';
import { writeEvents } from './events.ts';
import {
  applyPatch,
  deploySchema,
  eventsHeadersSchema,
  eventsQuerySchema,
  listQuerySchema,
  patchSchema,
  verbSchema,
} from './requests.ts';
import { activate, restart, retryProvision, suspend } from './verbs.ts';
import { planView, statusView, tenantView } from './view.ts';

export type DoorDependencies = Omit<ApiDependencies, 'health' | 'metrics' | 'log'> & {
  readonly streams: Streams;
};

const TENANTS = '/api/v1/tenants';
const TENANT = `${TENANTS}/:id`;
/** Planning observes Fly, which takes a few calls. */
const PLAN_TIMEOUT_MS = 20_000;
/** A browser comes back with its last event; a stream that lives for ever outlives the token that opened it. */
const EVENTS_LIFETIME_MS = 60 * 60_000;

/** Registers every route below `/api/v1/tenants`. */
export function openRestDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(dependencies.auth));
  acceptJson(scope, ['application/json', 'application/merge-patch+json']);
  tenantRoutes(scope, dependencies);
  verbRoutes(scope, dependencies);
  deployRoute(scope, dependencies);
  readRoutes(scope, dependencies);
  eventsRoute(scope, dependencies);
  refuseOtherMethods(scope, routes);
}

function tenantRoutes(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const { store, subdomainSuffix } = dependencies;

  scope.get(TENANTS, async (request) => {
    const { limit, cursor } = parse(listQuerySchema, request.query, 'the query');
    const { role, customer } = identityOf(request);
    // Whoever is nobody's customer yet owns nothing.
    if (role !== 'operator' && customer === undefined) return { data: [] };
    const query = {
      limit,
      ...(cursor !== undefined && { continue: cursor }),
      ...(role !== 'operator' && customer !== undefined && { owner: customer }),
    };
    const list = await store.list(query).catch((error: unknown) => {
      throw asParameterError(error);
    });
    return {
      data: list.items.map((tenant) => tenantView(tenant, subdomainSuffix)),
      next_cursor: list.continue,
    };
  });

  scope.get(TENANT, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    return reply.header('etag', entityTag(tenant)).send({ data: tenantView(tenant, subdomainSuffix) });
  });

  scope.patch(TENANT, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const patch = parse(patchSchema, request.body, 'the body');
    if (patch.status === 'active') await requireSubscription(dependencies, request, tenant);
    if (patch.memory_mb !== undefined)
      await requireWithinPlan(dependencies, request, { tenant, memoryMb: patch.memory_mb });
    const ifMatch = request.headers['if-match'];
    const changed = await changeSpec({ store, tenant, ifMatch }, (now) => applyPatch(now, patch));
    return accepted(reply, changed).send({ data: tenantView(changed, subdomainSuffix) });
  });

  scope.delete(TENANT, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    await deleteTenant({ store, tenant, ifMatch: request.headers['if-match'] });
    return reply.code(204).send();
  });
}

type Change = (tenant: Tenant, nowMs: number) => TenantSpec;
type Answer = (tenant: Tenant) => object;

/** The verbs that carry nothing but their name. Restart and retry answer bare, because the CLI decodes them so. */
function verbRoutes(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const { store, clock, subdomainSuffix } = dependencies;
  const tenantAnswer: Answer = (tenant) => ({ data: tenantView(tenant, subdomainSuffix) });
  const verbs: readonly (readonly [string, Change, Answer])[] = [
    ['suspend', suspend, tenantAnswer],
    ['activate', activate, tenantAnswer],
    ['restart', restart, () => ({ status: 'restarting' })],
    ['retry-provision', retryProvision, () => ({ status: 'provisioning' })],
  ];
  for (const [name, change, answer] of verbs)
    scope.post(`${TENANT}/${name}`, async (request, reply) => {
      const tenant = await findTenant(dependencies, request);
      parse(verbSchema, request.body, 'the body');
      if (name === 'activate') await requireSubscription(dependencies, request, tenant);
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => change(now, clock.now()));
      return accepted(reply, changed).send(answer(changed));
    });
}

function deployRoute(scope: FastifyInstance, dependencies: DoorDependencies): void {
  scope.post(`${TENANT}/deploy`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const { image } = parse(deploySchema, request.body, 'the body');
    await requireSubscription(dependencies, request, tenant);
    const ifMatch = request.headers['if-match'];
    const changed = await deployImage(dependencies, { tenant, image, ifMatch, reply });
    const data = deployView(changed, dependencies.subdomainSuffix);
    // The CLI reads `data`; scripts from before the envelope read the top level.
    return accepted(reply, changed).send({ data, status: data.status, url: data.url });
  });
}

function readRoutes(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const { clock, planTenant, subdomainSuffix } = dependencies;

  scope.get(`${TENANT}/status`, async (request) => {
    const data = statusView(await findTenant(dependencies, request), subdomainSuffix);
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

/** Every change is accepted, not done: the loop does it. */
function accepted(reply: FastifyReply, tenant: Tenant): FastifyReply {
  return reply.code(202).header('etag', entityTag(tenant));
}
