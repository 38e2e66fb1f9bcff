/**
 * Where does `kubectl` knock? The routes of the declarative door, for operators alone: Kubernetes' own paths, verbs
 * and shapes for one kind, Tenant.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';
import { z } from 'zod';
import { API_VERSION, PLURAL } from '../../tenant/names.ts';
import { identityOf, requireOperator } from '../access.ts';
import { auditWrites, storeOf } from '../audit.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { acceptJson, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import type { Streams } from '../streams.ts';
import { parseDryRun, parseListQuery } from './query.ts';
import { getTenant, listTenants } from './read.ts';
import { deletedStatus } from './status.ts';
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
const MERGE_PATCH = 'application/merge-patch+json';

const namespaceSchema = z.object({ namespace: z.string().max(253) });
const placeSchema = z.object({ namespace: z.string().max(253), name: z.string().max(253) });

/** Registers every route below `/apis/cloud.systemprompt.io/v1alpha1`. */
export function openKubernetesDoor(scope: FastifyInstance, dependencies: DoorDependencies): void {
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireOperator(dependencies.auth));
  auditWrites(scope, dependencies);
  acceptJson(scope, ['application/json', MERGE_PATCH]);

  const listing = listRoute(dependencies);
  scope.get(`${ROOT}/${PLURAL}`, async (request, reply) => listing(request, reply, undefined));

  const collection = `${ROOT}/namespaces/:namespace/${PLURAL}`;
  scope.get(collection, async (request, reply) => {
    const { namespace } = parse(namespaceSchema, request.params, 'the path');
    return listing(request, reply, namespace);
  });
  scope.post(collection, { onRequest: onlyType('application/json') }, async (request, reply) => {
    const { namespace } = parse(namespaceSchema, request.params, 'the path');
    const dryRun = parseDryRun(request.query);
    const created = await createTenant({
      ...dependencies,
      store: storeOf(request, dependencies.store),
      namespace,
      body: request.body,
      dryRun,
    });
    return reply.code(201).send(created);
  });

  const item = `${collection}/:name`;
  objectRoutes(scope, { path: item, subresource: 'object', dependencies });
  objectRoutes(scope, { path: `${item}/status`, subresource: 'status', dependencies });
  scope.delete(item, async (request) => {
    const place = parse(placeSchema, request.params, 'the path');
    const dryRun = parseDryRun(request.query);
    const store = storeOf(request, dependencies.store);
    const left = await deleteTenant({ store, clock: dependencies.clock, place, body: request.body, dryRun });
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
  const { path, subresource, dependencies } = options;
  const writeRequest = (request: FastifyRequest): WriteRequest => ({
    store: storeOf(request, dependencies.store),
    clock: dependencies.clock,
    place: parse(placeSchema, request.params, 'the path'),
    subresource,
    body: request.body,
    dryRun: parseDryRun(request.query),
  });
  scope.get(path, async (request) =>
    getTenant(dependencies.store, parse(placeSchema, request.params, 'the path')),
  );
  scope.put(path, { onRequest: onlyType('application/json') }, async (request) =>
    replaceTenant(writeRequest(request)),
  );
  scope.patch(path, { onRequest: onlyType(MERGE_PATCH) }, async (request) =>
    patchTenant(writeRequest(request)),
  );
}

function listRoute({ store, clock, streams }: DoorDependencies) {
  return async (request: FastifyRequest, reply: FastifyReply, namespace: string | undefined) => {
    const query = parseListQuery(request.query);
    if (!query.watch) return listTenants(store, query, namespace);
    await streams.serve(
      reply,
      {
        kind: 'watch',
        contentType: 'application/json',
        lifetimeMs: watchLifetimeMs(query, clock),
        holder: identityOf(request).subject,
      },
      (stream) => writeWatch({ store, query, namespace }, stream),
    );
    return reply;
  };
}

/** Refuses a body of another type before it is read. No type at all is left to the parsers. */
function onlyType(type: string) {
  return (request: FastifyRequest, _reply: FastifyReply, done: HookHandlerDoneFunction): void => {
    const sent = request.mediaType;
    if (sent === undefined || sent === type) done();
    else
      done(
        new ApiError(
          'unsupported_media_type',
          `cannot read the body: the only type accepted here is ${type}`,
        ),
      );
  };
}
