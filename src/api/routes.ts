/**
 * Which routes are there, and what of a request that fits one but for its method? The table is gathered as routes
 * are registered, so nothing can be forgotten: from it come the 405 answers with their `Allow` header, the OpenAPI
 * document, and tests.
 */
import type { FastifyInstance, HTTPMethods } from 'fastify';
import type { z } from 'zod';
import { findTenant, requireSubscription } from './access.ts';
import { storeOf } from './audit.ts';
import { isAboutTenant, type Access, type Call, type Declaration } from './declaration.ts';
import type { ApiDependencies } from './dependencies.ts';
import { parse } from './edge.ts';
import { ApiError } from './errors.ts';

/** Methods by path, the path with its parameters: `/api/v1/tenants/:id`. */
export type RouteTable = Map<string, Set<string>>;

declare module 'fastify' {
  interface FastifyInstance {
    /** Every path that the API answers, with its methods; complete once the instance is ready. */
    readonly routeTable: RouteTable;
    /** The declarations of the REST door's routes; complete once the instance is ready. */
    readonly declarations: Declaration[];
  }
  interface FastifyContextConfig {
    /** True for the routes that only say 405. */
    readonly refusal?: boolean;
    readonly declaration?: Declaration;
  }
}

export interface Routes {
  /** Registers one declared route. `handle` gets the request checked, and answers as any handler of fastify. */
  add<A extends Access, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
    declaration: Declaration<A, P, Q, B>,
    handle: (call: Call<A, P, Q, B>) => unknown,
  ): void;
}

/** Declares the routes of one scope. The scope's own hooks let callers in by `config.declaration`. */
export function declareRoutes(
  scope: FastifyInstance,
  dependencies: Pick<ApiDependencies, 'store' | 'accounts' | 'clock'>,
): Routes {
  return {
    add(declaration, handle) {
      scope.declarations.push(declaration);
      const { method, path: url, access, params, query, body } = declaration;
      scope.route({
        method,
        url,
        config: { declaration },
        async handler(request, reply) {
          const store = storeOf(request, dependencies.store);
          // First whose it is: what else is wrong with a request is told to nobody who may not know of the tenant.
          const tenant = isAboutTenant(access) ? await findTenant({ store }, request) : undefined;
          request.tenantUid = tenant?.metadata.uid;
          // An edge: what each schema has let through is of the schema's type.
          const call = {
            request,
            reply,
            store,
            identity: request.identity,
            tenant,
            linkToken: request.linkToken,
            params: params && parse(params, request.params, 'the path'),
            query: query && parse(query, request.query, 'the query'),
            body: body && parse(body, request.body, 'the body'),
          } as Parameters<typeof handle>[0];
          if (declaration.gated === true && tenant !== undefined)
            await requireSubscription(dependencies, request, tenant);
          return handle(call);
        },
      });
    },
  };
}

/** Methods that a client could try on a path; anything rarer is answered 404 by the framework. */
const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Gathers the routes of one scope from here on, also into the table of the whole instance. */
export function collectRoutes(scope: FastifyInstance): RouteTable {
  const routes: RouteTable = new Map();
  scope.addHook('onRoute', ({ url, method, config }) => {
    if (config?.refusal === true) return;
    const methods = routes.get(url) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    routes.set(url, methods);
    scope.routeTable.set(url, methods);
  });
  return routes;
}

/** Answers 405 for every other method of these routes. Call it last, in the scope whose hooks apply to them. */
export function refuseOtherMethods(scope: FastifyInstance, routes: RouteTable): void {
  for (const [url, methods] of routes) {
    const allow = [...methods].sort().join(', ');
    const refuse = (): never => {
      throw new ApiError('method_not_allowed', `cannot use this method here: allowed are ${allow}`, {
        headers: { allow },
      });
    };
    scope.route({
      url,
      method: METHODS.filter((method) => !methods.has(method)),
      config: { refusal: true },
      // Before the body is read: whatever was sent, the method is what is wrong.
      onRequest: refuse,
      handler: refuse,
    });
  }
}
