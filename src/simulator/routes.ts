/**
 * What does a request ask for? The routes of the whole simulated platform on one port: the Machines API under
 * `/v1` (every path of Fly's document, also what is not simulated), logs, metrics, and the registry.
 */
import { openApiOperations } from './openapi-operations.ts';
import { operations, otherOperations, type Operation } from './operations.ts';
import { createRouter } from './router.ts';

/** A request as it comes over the wire, without the wire. */
export interface SimulatedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: string;
}

export interface Route {
  /** Fly's operationId, or our own name where Fly has none. */
  readonly operation: string;
  /** Undefined: Fly knows it, the simulator does not. */
  readonly simulated: Operation | undefined;
}

const machinesApi = openApiOperations.map(([method, path, operation]) => ({
  method,
  path,
  route: { operation, simulated: operations[operation] },
}));

const others = otherOperations.map(({ method, path, operation, ...simulated }) => ({
  method,
  path,
  route: { operation, simulated },
}));

const router = createRouter<Route>([...machinesApi, ...others]);

/** The route of a request and what its placeholders stand for; undefined: no such path on Fly. */
export function routeOf(
  request: Pick<SimulatedRequest, 'method' | 'path'>,
): { route: Route; params: Record<string, string> } | undefined {
  return router.find(request.method, request.path);
}

/** The name in the body of an app that is being made: the only call whose app is not in its path. */
function nameInBody(body: string | undefined): string | undefined {
  return /"(?:app_)?name"\s*:\s*"([^"]*)"/.exec(body ?? '')?.[1];
}

/** The app that a call is about; for the registry the first part of the repository's name. */
export function appNameOf(
  operation: string,
  params: Readonly<Record<string, string>>,
  body: string | undefined,
): string | undefined {
  if (operation === 'Apps_create') return nameInBody(body);
  return params.app_name ?? params.repository?.split('/')[0];
}

/** What the rate limit of a call is counted by: the machine, else the app, else the organisation. */
export function identifierOf(call: {
  app: string | undefined;
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  operation: string;
}): string {
  // Deleting apps is limited for the account, not for the app that goes.
  if (call.operation === 'Apps_delete') return 'account';
  return (
    call.params.machine_id ?? call.app ?? call.params.org_slug ?? call.query.get('org_slug') ?? 'account'
  );
}
