/**
 * Which routes are there, and what of a request that fits one but for its method? The table is gathered as routes
 * are registered, so nothing can be forgotten: from it come the 405 answers with their `Allow` header, and tests.
 */
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { ApiError } from './errors.ts';

/** Methods by path, the path with its parameters: `/api/v1/tenants/:id`. */
export type RouteTable = Map<string, Set<string>>;

declare module 'fastify' {
  interface FastifyInstance {
    /** Every path that the API answers, with its methods; complete once the instance is ready. */
    readonly routeTable: RouteTable;
  }
  interface FastifyContextConfig {
    /** True for the routes that only say 405. */
    readonly refusal?: boolean;
  }
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
