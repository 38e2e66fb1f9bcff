/**
 * What does a door of the REST API have, whatever its routes are? Callers are let in, counted and known; writes are
 * in the audit log, and safe to repeat; bodies are read as that door takes them; and every route is declared.
 */
import type { FastifyInstance } from 'fastify';
import { requireIdentity } from './access.ts';
import { auditWrites } from './audit.ts';
import type { ApiDependencies } from './dependencies.ts';
import { acceptJson } from './edge.ts';
import { obeyIdempotencyKeys } from './idempotency.ts';
import type { RateLimiter } from './rate-limit.ts';
import { collectRoutes, declareRoutes, refuseOtherMethods, type Routes } from './routes.ts';

export type DoorParts = Pick<
  ApiDependencies,
  'accounts' | 'auth' | 'clock' | 'store' | 'ledger' | 'trustsProxy'
> & {
  readonly limiter: RateLimiter;
};

export interface Door {
  /** Says which bodies are read; JSON when absent. */
  readonly accept?: (scope: FastifyInstance) => void;
  readonly declare: (routes: Routes) => void;
}

/** Opens a door in a scope of its own. */
export function openDoor(scope: FastifyInstance, parts: DoorParts, door: Door): void {
  const table = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(parts.auth, parts.limiter));
  obeyIdempotencyKeys(scope, parts.ledger.idempotency);
  auditWrites(scope, parts);
  if (door.accept === undefined) acceptJson(scope, ['application/json']);
  else door.accept(scope);
  door.declare(declareRoutes(scope, parts));
  refuseOtherMethods(scope, table);
}
