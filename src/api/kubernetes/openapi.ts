/**
 * What does a Tenant look like, and what may be done with it, told to machines? OpenAPI v3 as the API server would
 * serve it for our CustomResourceDefinition: of it live `kubectl explain` and kubectl's own check of what it sends.
 */
import { SELECTABLE_FIELDS, tenantStructuralSchema } from '../../tenant/crd.ts';
import { API_VERSION, GROUP, KIND, PLURAL, VERSION } from '../../tenant/names.ts';
import { hashOf } from './documents.ts';
import {
  API_VERSION_FIELD,
  KIND_FIELD,
  META,
  META_SCHEMAS,
  reference,
  type OpenApiSchema,
} from './openapi-metadata.ts';
import { JSON_PATCH, MERGE_PATCH } from './patches.ts';

/** Where the document is served. */
export const openApiPath = `/openapi/v3/apis/${API_VERSION}`;

const REVERSED_GROUP = GROUP.split('.').reverse().join('.');
const TENANT = `${REVERSED_GROUP}.${VERSION}.${KIND}`;
const TENANT_LIST = `${TENANT}List`;
const COLLECTION = `/apis/${API_VERSION}/namespaces/{namespace}/${PLURAL}`;
const JSON_TYPES = ['application/json'];

/** The list of documents, each with a hash, so that a client needs to fetch none twice. */
export function openApiIndex(document: string): object {
  const path = `apis/${API_VERSION}`;
  return { paths: { [path]: { serverRelativeURL: `${openApiPath}?hash=${hashOf(document)}` } } };
}

export function openApiDocument() {
  return {
    openapi: '3.0.0',
    info: { title: 'Landlord', version: VERSION },
    paths: {
      [COLLECTION]: {
        get: operation('list', { kind: TENANT_LIST, query: LIST_QUERY }),
        post: operation('post', { kind: TENANT, query: WRITE_QUERY, body: TENANT }),
        parameters: [NAMESPACE],
      },
      [`${COLLECTION}/{name}`]: {
        ...itemOperations(),
        delete: operation('delete', {
          kind: `${META}.Status`,
          query: DELETE_QUERY,
          body: `${META}.DeleteOptions`,
        }),
        parameters: [NAME, NAMESPACE],
      },
      [`${COLLECTION}/{name}/status`]: { ...itemOperations(), parameters: [NAME, NAMESPACE] },
      [`/apis/${API_VERSION}/${PLURAL}`]: {
        get: operation('list', { kind: TENANT_LIST, query: LIST_QUERY }),
      },
    },
    components: {
      schemas: {
        ...META_SCHEMAS,
        [TENANT]: tenantObject(),
        [TENANT_LIST]: tenantList(),
      },
    },
  };
}

function tenantObject(): object {
  const { properties = {}, ...structural } = tenantStructuralSchema();
  return {
    ...structural,
    properties: {
      ...properties,
      apiVersion: API_VERSION_FIELD,
      kind: KIND_FIELD,
      metadata: {
        description: 'What every object says of itself.',
        allOf: [reference(`${META}.ObjectMeta`)],
      },
    },
    'x-kubernetes-group-version-kind': [gvk(KIND)],
    'x-kubernetes-selectable-fields': SELECTABLE_FIELDS.map(({ jsonPath }) => ({
      fieldPath: jsonPath.replace(/^\./, ''),
    })),
  };
}

function tenantList(): OpenApiSchema {
  return {
    type: 'object',
    description: 'Tenants.',
    required: ['items'],
    properties: {
      apiVersion: API_VERSION_FIELD,
      items: { type: 'array', description: 'The tenants.', items: reference(TENANT) },
      kind: KIND_FIELD,
      metadata: { description: 'What every list says of itself.', allOf: [reference(`${META}.ListMeta`)] },
    },
    'x-kubernetes-group-version-kind': [gvk(`${KIND}List`)],
  };
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly description: string;
  readonly required?: true;
  readonly schema: { readonly type: string; readonly uniqueItems: true };
}

const parameter = (name: string, description: string, type = 'string'): Parameter => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
});
const inPath = (name: string, description: string): Parameter => ({
  ...parameter(name, description),
  in: 'path',
  required: true,
});

const NAME = inPath('name', `Name of the ${KIND}.`);
const NAMESPACE = inPath('namespace', 'The space within which the name is unique.');
const DRY_RUN = parameter('dryRun', 'All: checked and answered as if done, but not stored.');
const WRITE_QUERY = [
  DRY_RUN,
  parameter('fieldManager', 'Who writes. Not kept here.'),
  parameter(
    'fieldValidation',
    'What becomes of unknown and duplicate fields. Ignore: dropped. Warn: dropped, and told in a header. Strict: refused.',
  ),
];
const DELETE_QUERY = [DRY_RUN];
const LIST_QUERY = [
  parameter('allowWatchBookmarks', 'Tells now and then how far the watch has come.', 'boolean'),
  parameter('continue', 'The rest of a list that came in pieces.'),
  parameter('fieldSelector', 'Only objects with this metadata.name, metadata.namespace or spec.owner.'),
  parameter('labelSelector', 'Only objects with these labels.'),
  parameter('limit', 'The most objects that one answer may hold.', 'integer'),
  parameter('resourceVersion', 'For a watch: tell what came after it.'),
  parameter('resourceVersionMatch', 'NotOlderThan; Exact is not kept.'),
  parameter('sendInitialEvents', 'A watch begins with what is there.', 'boolean'),
  parameter('timeoutSeconds', 'The longest that a watch may last.', 'integer'),
  parameter('watch', 'Tell changes as they happen, a line each.', 'boolean'),
];

interface Shape {
  /** Name of the schema of the answer. */
  readonly kind: string;
  readonly query?: readonly Parameter[];
  /** Name of the schema of the body. */
  readonly body?: string;
  readonly types?: readonly string[];
}

function itemOperations() {
  return {
    get: operation('get', { kind: TENANT }),
    put: operation('put', { kind: TENANT, query: WRITE_QUERY, body: TENANT }),
    patch: operation('patch', {
      kind: TENANT,
      query: WRITE_QUERY,
      body: `${META}.Patch`,
      types: [JSON_PATCH, MERGE_PATCH],
    }),
  };
}

function operation(action: string, { kind, query = [], body, types = JSON_TYPES }: Shape) {
  return {
    parameters: query,
    ...(body !== undefined && { requestBody: { content: content(body, types) } }),
    responses: {
      [action === 'post' ? '201' : '200']: {
        description: action === 'post' ? 'Created' : 'OK',
        content: content(kind, JSON_TYPES),
      },
      '401': { description: 'Unauthorized' },
      '403': { description: 'Forbidden' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(KIND),
  };
}

function content(name: string, types: readonly string[]) {
  return Object.fromEntries(types.map((type) => [type, { schema: reference(name) }]));
}

function gvk(kind: string) {
  return { group: GROUP, kind, version: VERSION };
}
