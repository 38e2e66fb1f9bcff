/**
 * What of Kubernetes' core does kubectl need around tenants? Events, and the namespaces that are in use: to be read,
 * not written. A namespace is there as soon as a tenant is in it.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { Survey } from '../../store/store.ts';
import { requireOperator } from '../access.ts';
import type { Authenticator } from '../auth.ts';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import { EVENT_COLUMNS, listEvents, type EventSources } from './events.ts';
import { parseListQuery } from './query.ts';
import { negotiate, showList, showOne } from './representation.ts';
import { nameColumn, type Column } from './table.ts';

export interface CoreDependencies extends EventSources {
  readonly auth: Authenticator;
  readonly clock: Clock;
}

/** Exists without anybody's doing. */
const DEFAULT_NAMESPACE = 'default';

const namespaceSchema = z.object({ namespace: z.string().max(253) });
const eventQuerySchema = z.object({
  fieldSelector: z.string().max(4096).default(''),
  watch: z.string().optional(),
});

interface NamespaceView {
  readonly kind: 'Namespace';
  readonly apiVersion: 'v1';
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: Record<string, never>;
  readonly status: { readonly phase: 'Active' };
}

const NAMESPACE_COLUMNS: readonly Column<NamespaceView>[] = [
  nameColumn<NamespaceView>(),
  {
    name: 'Status',
    type: 'string',
    format: '',
    description: 'Active: tenants can be created in it.',
    priority: 0,
    read: ({ status }) => status.phase,
  },
];

/** Registers events and namespaces below `/api/v1`. */
export function openCore(scope: FastifyInstance, dependencies: CoreDependencies): void {
  const { clock, survey } = dependencies;
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireOperator(dependencies.auth));

  const events = async (request: FastifyRequest, namespace: string | undefined) => {
    const { fieldSelector, watch } = parse(eventQuerySchema, request.query, 'the query');
    if (watch !== undefined && !['false', '0'].includes(watch))
      throw new ApiError('method_not_allowed', 'cannot watch events here: watch the tenants, or list again');
    const representation = negotiate(request);
    const list = await listEvents(dependencies, { namespace, fieldSelector });
    return showList(list, EVENT_COLUMNS, { representation, now: clock.now() });
  };
  scope.get('/api/v1/events', async (request) => events(request, undefined));
  scope.get('/api/v1/namespaces/:namespace/events', async (request) =>
    events(request, parse(namespaceSchema, request.params, 'the path').namespace),
  );

  scope.get('/api/v1/namespaces', async (request) => {
    const representation = negotiate(request);
    const { fields } = parseListQuery(request.query);
    const names = (await namespacesIn(survey)).filter((name) => (fields.name ?? name) === name);
    const list = {
      kind: 'NamespaceList',
      apiVersion: 'v1',
      metadata: { resourceVersion: '0' },
      items: names.map(namespaceView),
    };
    return showList(list, NAMESPACE_COLUMNS, { representation, now: clock.now() });
  });
  scope.get('/api/v1/namespaces/:namespace', async (request) => {
    const representation = negotiate(request);
    const { namespace } = parse(namespaceSchema, request.params, 'the path');
    if (!(await namespacesIn(survey)).includes(namespace))
      throw new ApiError('not_found', `namespaces "${namespace}" not found`, { subject: namespace });
    return showOne(namespaceView(namespace), NAMESPACE_COLUMNS, { representation, now: clock.now() });
  });

  refuseOtherMethods(scope, routes);
}

async function namespacesIn(survey: Survey): Promise<string[]> {
  return [...new Set([DEFAULT_NAMESPACE, ...(await survey.namespaces())])].sort();
}

function namespaceView(name: string): NamespaceView {
  return {
    kind: 'Namespace',
    apiVersion: 'v1',
    metadata: { name, resourceVersion: '0', labels: { 'kubernetes.io/metadata.name': name } },
    spec: {},
    status: { phase: 'Active' },
  };
}
