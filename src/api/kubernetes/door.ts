/**
 * Where does `kubectl` find tenants? The routes of the declarative door, for operators alone: Kubernetes' own paths,
 * verbs and shapes for one kind, Tenant.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { API_VERSION, PLURAL } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { identityOf, requireOperator } from '../access.ts';
import { auditWrites, storeOf } from '../audit.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { parse } from '../edge.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import type { Streams } from '../streams.ts';
import { acceptBodies, JSON_BODY, onlyTypes, PATCH_BODY } from './body.ts';
import { createFieldCheck } from './field-validation.ts';
import { readPatch } from './patches.ts';
import { parseListQuery, parseWriteQuery } from './query.ts';
import { getTenant, listTenants } from './read.ts';
import { negotiate, showList, showOne } from './representation.ts';
import { deletedStatus } from './status.ts';
import { TENANT_COLUMNS } from './table.ts';
import { watchLifetimeMs, writeWatch } from './watch.ts';
import {
  createTenant,
  deleteTenant,
  patchTenant,
  replaceTenant,
  type Subresource,
  type WriteRequest,
} from './write.ts';

export type DoorDependencies = Pick<
  ApiDependencies,
  'store' | 'auth' | 'clock' | 'ledger' | 'trustsProxy'
> & {
  readonly streams: Streams;
};

const ROOT = `/apis/${API_VERSION}`;

const namespaceSchema = z.object({ namespace: z.string().max(253) });
const placeSchema = z.object({ namespace: z.string().max(253), name: z.string().max(253) });

/** Registers every route below `/apis/cloud.systemprompt.io/v1alpha1` that is about tenants. */
export function openKubernetesDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const { store, clock } = dependencies;
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireOperator(dependencies.auth));
  auditWrites(scope, dependencies);
  acceptBodies(scope);

  const listing = listRoute(dependencies);
  scope.get(`${ROOT}/${PLURAL}`, async (request, reply) => listing(request, reply, undefined));

  const collection = `${ROOT}/namespaces/:namespace/${PLURAL}`;
  scope.get(collection, async (request, reply) => {
    const { namespace } = parse(namespaceSchema, request.params, 'the path');
    return listing(request, reply, namespace);
  });
  scope.post(collection, { onRequest: onlyTypes(JSON_BODY) }, async (request, reply) => {
    const { namespace } = parse(namespaceSchema, request.params, 'the path');
    const show = presenter(request, clock);
    const created = await createTenant({
      store: storeOf(request, store),
      clock,
      namespace,
      body: request.body,
      ...writeOptions(request, reply),
    });
    return reply.code(201).send(show(created));
  });

  const item = `${collection}/:name`;
  objectRoutes(scope, { path: item, subresource: 'object', dependencies });
  objectRoutes(scope, { path: `${item}/status`, subresource: 'status', dependencies });
  scope.delete(item, { onRequest: onlyTypes(JSON_BODY) }, async (request) => {
    const place = parse(placeSchema, request.params, 'the path');
    const { dryRun } = parseWriteQuery(request.query);
    const left = await deleteTenant({
      store: storeOf(request, store),
      clock,
      place,
      body: request.body,
      dryRun,
    });
    return (left.metadata.finalizers ?? []).length > 0 ? left : deletedStatus(left);
  });

  refuseOtherMethods(scope, routes);
}

/** Get, replace and patch, which the object and its status have in common. */
function objectRoutes(
  scope: FastifyInstance,
  options: {
    readonly path: string;
    readonly subresource: Subresource;
    readonly dependencies: DoorDependencies;
  },
): void {
  const { path, subresource } = options;
  const { store, clock } = options.dependencies;
  const writeRequest = (request: FastifyRequest, reply: FastifyReply): WriteRequest => ({
    store: storeOf(request, store),
    clock,
    place: parse(placeSchema, request.params, 'the path'),
    subresource,
    body: request.body,
    ...writeOptions(request, reply),
  });
  scope.get(path, async (request) => {
    const show = presenter(request, clock);
    return show(await getTenant(store, parse(placeSchema, request.params, 'the path')));
  });
  scope.put(path, { onRequest: onlyTypes(JSON_BODY) }, async (request, reply) => {
    const show = presenter(request, clock);
    return show(await replaceTenant(writeRequest(request, reply)));
  });
  scope.patch(path, { onRequest: onlyTypes(PATCH_BODY) }, async (request, reply) => {
    const show = presenter(request, clock);
    const patch = readPatch(request.mediaType, request.body);
    return show(await patchTenant({ ...writeRequest(request, reply), patch }));
  });
}

function writeOptions(request: FastifyRequest, reply: FastifyReply): Pick<WriteRequest, 'dryRun' | 'fields'> {
  const { dryRun, fieldValidation } = parseWriteQuery(request.query);
  return { dryRun, fields: createFieldCheck(fieldValidation, { request, reply }) };
}

/** Asked before the work is done: who wants an answer in a shape that there is not must not have changed anything. */
function presenter(request: FastifyRequest, clock: Clock): (tenant: Tenant) => unknown {
  const representation = negotiate(request);
  return (tenant) => showOne(tenant, TENANT_COLUMNS, { representation, now: clock.now() });
}

function listRoute({ store, clock, streams }: DoorDependencies) {
  return async (request: FastifyRequest, reply: FastifyReply, namespace: string | undefined) => {
    const query = parseListQuery(request.query);
    const representation = negotiate(request);
    if (!query.watch)
      return showList(await listTenants(store, query, namespace), TENANT_COLUMNS, {
        representation,
        now: clock.now(),
      });
    await streams.serve(
      reply,
      {
        kind: 'watch',
        contentType: 'application/json',
        lifetimeMs: watchLifetimeMs(query, clock),
        holder: identityOf(request).subject,
      },
      (stream) => writeWatch({ store, clock, query, namespace, representation }, stream),
    );
    return reply;
  };
}
