/** Do we describe tenants as the API server would? Its OpenAPI document for our CRD, beside our own. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { openApiDocument } from '../../src/api/kubernetes/openapi.ts';
import { eventually } from '../support/eventually.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { describeOnCluster } from './on-cluster.ts';

interface Operation {
  readonly parameters?: readonly { readonly name: string }[];
  readonly 'x-kubernetes-action': string;
  readonly 'x-kubernetes-group-version-kind': object;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties?: Record<string, object> }>>;
  };
}

const PATH = '/openapi/v3/apis/cloud.systemprompt.io/v1alpha1';
const TENANT = 'io.systemprompt.cloud.v1alpha1.Tenant';
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';

let cluster: Cluster;
let real: Document;
const own = JSON.parse(JSON.stringify(openApiDocument())) as Document;

await describeOnCluster('our OpenAPI document and that of the API server', () => {
  beforeAll(async () => {
    cluster = await startCluster();
    const definition = await readFile(new URL('../../crds/tenants.yaml', import.meta.url), 'utf8');
    await cluster.request({
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      body: parse(definition),
    });
    real = await eventually(
      async () => {
        const { status, body } = await cluster.request({ path: PATH });
        return status === 200 && (body as Document).components.schemas[TENANT]
          ? (body as Document)
          : undefined;
      },
      { what: 'the API server to describe tenants' },
    );
  });
  afterAll(() => cluster.stop());

  it('describe a Tenant in the same words, apart from what every object has', () => {
    const described = ({ components }: Document) => {
      const { properties, ...rest } = components.schemas[TENANT]!;
      return { ...rest, spec: properties?.['spec'], status: properties?.['status'] };
    };
    expect(described(own)).toEqual(described(real));
  });

  it.each([
    'ObjectMeta',
    'ListMeta',
    'OwnerReference',
    'ManagedFieldsEntry',
    'Preconditions',
    'Status',
    'StatusCause',
  ])('know the same fields of %s', (name) => {
    const fields = ({ components }: Document) =>
      Object.entries(components.schemas[`${META}.${name}`]?.properties ?? {})
        .map(([field, schema]) => [field, 'type' in schema ? schema.type : 'reference'])
        .sort();
    expect(fields(own)).toEqual(fields(real));
  });

  it('name the same operations, but that nothing is deleted by the collection', () => {
    const operations = ({ paths }: Document) =>
      Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods)
          .filter(([method]) => method !== 'parameters')
          .map(([method, operation]) => `${method} ${path}: ${operation['x-kubernetes-action']}`),
      );
    const deletion = / deletecollection$/;
    expect(operations(own).sort()).toEqual(
      operations(real)
        .filter((operation) => !deletion.test(operation))
        .sort(),
    );
  });

  it('take the same parameters for writes, but what server-side apply needs', () => {
    for (const [path, methods] of Object.entries(own.paths))
      for (const method of ['post', 'put', 'patch']) {
        const names = (operation: Operation | undefined) => operation?.parameters?.map(({ name }) => name);
        const known = names(real.paths[path]?.[method])?.filter((name) => name !== 'force');
        expect([path, method, names(methods[method])]).toEqual([path, method, known]);
      }
  });
});
