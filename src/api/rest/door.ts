/**
 * Where do the `systemprompt` CLI and the dashboard knock? The routes of the REST door. Each handler only parses,
 * finds the tenant, changes or reads it, and answers; none ever waits for Fly.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import { identityOf, requireIdentity } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, answerSignal, asParameterError, askOutside, parse } from '../edge.ts';
import { collectRoutes, declareRoutes, refuseOtherMethods, type Routes } from '../routes.ts';
import type { Streams } from '../streams.ts';
import * as answers from './answers.ts';
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
  waitQuerySchema,
} from './requests.ts';
import { activate, restart, retryProvision, suspend } from './verbs.ts';
import { planView, statusView, tenantView } from './view.ts';
import { waitForReady } from './wait.ts';

export type DoorDependencies = Omit<ApiDependencies, 'health' | 'metrics' | 'log'> & {
  readonly streams: Streams;
};

const TENANTS = '/api/v1/tenants';
const TENANT = `${TENANTS}/:id`;
const TAG = 'Tenants';
/** Planning observes Fly, which takes a few calls. */
const PLAN_TIMEOUT_MS = 20_000;
/** A browser comes back with its last event; a stream that lives for ever outlives the token that opened it. */
const EVENTS_LIFETIME_MS = 60 * 60_000;

/** Registers every route below `/api/v1/tenants`. */
export function openRestDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const table = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(dependencies.auth));
  acceptJson(scope, ['application/json', 'application/merge-patch+json']);
  const routes = declareRoutes(scope, dependencies);
  tenantRoutes(routes, dependencies);
  changeRoutes(routes, dependencies);
  verbRoutes(routes, dependencies);
  deployRoute(routes, dependencies);
  readRoutes(routes, dependencies);
  eventsRoute(routes, dependencies);
  refuseOtherMethods(scope, table);
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
    async ({ identity, query: { limit, cursor } }) => {
      const list = await store
        .list({
          limit,
          ...(cursor !== undefined && { continue: cursor }),
          ...(identity.role === 'customer' && { owner: identity.customer }),
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

function changeRoutes(routes: Routes, dependencies: DoorDependencies): void {
  const { store, subdomainSuffix } = dependencies;
  routes.add(
    {
      method: 'PATCH',
      path: TENANT,
      summary: 'Scale, suspend, activate, or set environment and hostnames',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: patchSchema,
      answers: { 200: answers.tenantAnswer, 202: answers.tenantAnswer },
      errors: ['conflict', 'invalid_state', 'invalid'],
    },
    async ({ tenant, body, query, request, reply }) => {
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => applyPatch(now, body));
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      return { data: tenantView(now, subdomainSuffix) };
    },
  );
  routes.add(
    {
      method: 'DELETE',
      path: TENANT,
      summary: 'Delete the tenant and all that it has on Fly',
      tag: TAG,
      access: 'owner',
      versioned: true,
      answers: { 204: { description: 'It is being deleted.' } },
      errors: ['conflict'],
    },
    async ({ tenant, request, reply }) => {
      await deleteTenant({ store, tenant, ifMatch: request.headers['if-match'] });
      return reply.code(204).send();
    },
  );
}

/** The verbs that carry nothing but their name. Restart and retry answer bare, because the CLI decodes them so. */
function verbRoutes(routes: Routes, dependencies: DoorDependencies): void {
  const { store, clock, subdomainSuffix } = dependencies;
  for (const { name, summary, change, bare } of VERBS)
    routes.add(
      {
        method: 'POST',
        path: `${TENANT}/${name}`,
        summary,
        tag: TAG,
        access: 'owner',
        versioned: true,
        query: waitQuerySchema,
        body: verbSchema,
        answers: bare
          ? { 200: answers.verbAnswer, 202: answers.verbAnswer }
          : { 200: answers.tenantAnswer, 202: answers.tenantAnswer },
        errors: ['conflict', 'invalid_state'],
      },
      async ({ tenant, query, request, reply }) => {
        const ifMatch = request.headers['if-match'];
        const changed = await changeSpec({ store, tenant, ifMatch }, (now) => change(now, clock.now()));
        const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
        return bare ? { status: bare } : { data: tenantView(now, subdomainSuffix) };
      },
    );
}

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly change: (tenant: Tenant, nowMs: number) => TenantSpec;
  /** The whole answer of a verb that does not answer the tenant. */
  readonly bare?: string;
}

const VERBS: readonly Verb[] = [
  { name: 'suspend', summary: 'Stop the machine and keep the data', change: suspend },
  { name: 'activate', summary: 'Let the machine run again', change: activate },
  { name: 'restart', summary: 'Restart the machine once', change: restart, bare: 'restarting' },
  {
    name: 'retry-provision',
    summary: 'Try again after a failure, now',
    change: retryProvision,
    bare: 'provisioning',
  },
];

function deployRoute(routes: Routes, dependencies: DoorDependencies): void {
  routes.add(
    {
      method: 'POST',
      path: `${TENANT}/deploy`,
      summary: 'Run the image that was pushed, by the digest that its tag has now',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: deploySchema,
      answers: { 200: answers.deployAnswer, 202: answers.deployAnswer },
      errors: ['invalid_image', 'image_not_found', 'conflict', 'invalid_state', 'invalid'],
    },
    async ({ tenant, body: { image }, query, request, reply }) => {
      const ifMatch = request.headers['if-match'];
      const changed = await deployImage(dependencies, { tenant, image, ifMatch, reply });
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      const data = deployView(now, dependencies.subdomainSuffix);
      // The CLI reads `data`; scripts from before the envelope read the top level.
      return { data, status: data.status, url: data.url };
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

/** Every change is accepted, not done: the loop does it. A client that waits is told whether it came to that. */
async function accept(
  { store, clock }: Pick<DoorDependencies, 'store' | 'clock'>,
  options: { readonly reply: FastifyReply; readonly changed: Tenant; readonly waitMs: number | undefined },
): Promise<Tenant> {
  const { reply, changed, waitMs: limitMs } = options;
  const { tenant, done } =
    limitMs === undefined
      ? { tenant: changed, done: false }
      : await waitForReady({ store, clock, changed, limitMs, signal: answerSignal(reply) });
  reply.code(done ? 200 : 202).header('etag', entityTag(tenant));
  return tenant;
}
