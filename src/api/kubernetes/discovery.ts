/**
 * How does kubectl learn what there is? By Kubernetes' discovery: aggregated in two documents for clients that know
 * how to ask, and group by group for those that do not. For everybody with a valid token, as in a cluster.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { requireIdentity } from '../access.ts';
import type { Authenticator } from '../auth.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import { sendDocument, staticDocument, type StaticDocument } from './documents.ts';
import { openApiDocument, openApiIndex, openApiPath } from './openapi.ts';
import { CORE, GROUPS, groupVersionName, type GroupVersion, type Resource } from './resources.ts';

/** Version of Kubernetes whose API this door speaks: kubectl compares it with its own. */
const SPOKEN = { major: '1', minor: '32' };
const AGGREGATED = ['v2', 'v2beta1'] as const;

/** Registers discovery, /version and the OpenAPI documents. */
export function openDiscovery(
  scope: FastifyInstance,
  { auth, version }: { readonly auth: Authenticator; readonly version: string },
): void {
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(auth));
  const serve = (path: string, document: StaticDocument): void => {
    scope.get(path, (request, reply) => sendDocument(request, reply, document));
  };
  const serveEither = (path: string, groups: readonly GroupVersion[], legacy: object): void => {
    const plain = staticDocument(legacy);
    const aggregated = AGGREGATED.map((form) => aggregatedDocument(groups, form));
    scope.get(path, (request: FastifyRequest, reply: FastifyReply) =>
      sendDocument(request, reply, preferred(request, aggregated) ?? plain),
    );
  };

  serve('/version', staticDocument(versionInfo(version)));
  serveEither('/api', [CORE], { kind: 'APIVersions', versions: [CORE.version], ...NO_ADDRESSES });
  serveEither('/apis', GROUPS, { kind: 'APIGroupList', apiVersion: 'v1', groups: GROUPS.map(apiGroup) });
  serve('/api/v1', staticDocument(apiResourceList(CORE)));
  for (const group of GROUPS) {
    serve(`/apis/${group.group}`, staticDocument({ kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group) }));
    serve(`/apis/${groupVersionName(group)}`, staticDocument(apiResourceList(group)));
  }
  const openApi = staticDocument(openApiDocument());
  serve('/openapi/v3', staticDocument(openApiIndex(openApi.text)));
  serve(openApiPath, openApi);
  refuseOtherMethods(scope, routes);
}

const NO_ADDRESSES = { serverAddressByClientCIDRs: [] };

function versionInfo(version: string): object {
  return {
    ...SPOKEN,
    gitVersion: `v${SPOKEN.major}.${SPOKEN.minor}.0+landlord.${version}`,
    gitCommit: '',
    gitTreeState: '',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: '',
    platform: `${process.platform}/${process.arch}`,
  };
}

/** The first form that the client names and that there is. */
function preferred(
  { headers }: FastifyRequest,
  documents: readonly StaticDocument[],
): StaticDocument | undefined {
  for (const clause of (headers.accept ?? '').split(',')) {
    const wanted = clause.split(';').map((part) => part.trim());
    const found = documents.find(({ contentType }) =>
      contentType.split(';').every((part) => wanted.includes(part)),
    );
    if (found !== undefined) return found;
    if (wanted[0] === 'application/json' && wanted.length === 1) return undefined;
  }
  return undefined;
}

function aggregatedDocument(groups: readonly GroupVersion[], form: (typeof AGGREGATED)[number]) {
  return staticDocument(
    {
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${form}`,
      metadata: {},
      items: groups.map((group) => ({
        metadata: { ...(group.group !== '' && { name: group.group }), creationTimestamp: null },
        versions: [
          {
            version: group.version,
            resources: group.resources.map((resource) => discoveredResource(group, resource)),
            freshness: 'Current',
          },
        ],
      })),
    },
    `application/json;g=apidiscovery.k8s.io;v=${form};as=APIGroupDiscoveryList`,
  );
}

function discoveredResource({ group, version }: GroupVersion, resource: Resource): object {
  const { name, singular, kind, namespaced, verbs, shortNames, categories, subresources } = resource;
  const responseKind = { group, version, kind };
  return {
    resource: name,
    responseKind,
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs,
    ...(shortNames && { shortNames }),
    ...(categories && { categories }),
    ...(subresources && {
      subresources: subresources.map((below) => ({
        subresource: below.name,
        responseKind,
        verbs: below.verbs,
      })),
    }),
  };
}

function apiGroup(groupVersion: GroupVersion): object {
  const version = { groupVersion: groupVersionName(groupVersion), version: groupVersion.version };
  return { name: groupVersion.group, versions: [version], preferredVersion: version };
}

function apiResourceList(group: GroupVersion): object {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersionName(group),
    resources: group.resources.flatMap(({ singular, subresources = [], ...resource }) => [
      { ...resource, singularName: singular },
      ...subresources.map(({ name, verbs }) => ({
        name: `${resource.name}/${name}`,
        singularName: '',
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs,
      })),
    ]),
  };
}
