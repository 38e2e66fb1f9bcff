/**
 * What must stand behind a kubeconfig for an unmodified kubectl to be at home? A listener of its own, by HTTPS
 * because kubectl sends its token over nothing less: discovery, the tenants, and what kubectl looks for around them.
 * Every error is a Status.
 */
import type { FastifyInstance } from 'fastify';
import type { Survey } from '../../store/store.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { openHealth } from '../health.ts';
import { createServer, type ServerParts } from '../server.ts';
import { openCore } from './core.ts';
import { openDiscovery } from './discovery.ts';
import { openKubernetesDoor } from './door.ts';
import { openReviews } from './reviews.ts';
import { sendStatus } from './status.ts';

export type KubectlDependencies = Pick<
  ApiDependencies,
  | 'store'
  | 'events'
  | 'auth'
  | 'clock'
  | 'log'
  | 'metrics'
  | 'health'
  | 'ledger'
  | 'trustsProxy'
  | 'corsOrigins'
> & {
  readonly survey: Survey;
  /** Landlord's own, such as `0.1.0`. */
  readonly version: string;
};

/** The listener for kubectl, ready to listen; without `tls` over plain HTTP, for tests that need no socket. */
export function createKubectlApi(
  dependencies: KubectlDependencies,
  tls?: ServerParts['tls'],
): FastifyInstance {
  return createServer(dependencies, {
    doors: [
      (scope) => openHealth(scope, dependencies),
      (scope) => openDiscovery(scope, dependencies),
      (scope) => openReviews(scope, dependencies),
      (scope) => openCore(scope, dependencies),
      (scope, streams) => openKubernetesDoor(scope, { ...dependencies, streams }),
    ],
    sendError: sendStatus,
    ...(tls && { tls }),
  });
}
