/**
 * What must a cluster know to serve Tenants? The CustomResourceDefinition, made of the zod schemas and of the twins
 * in CEL of the rules in `validation.ts`. `npm run generate` writes it to crds/tenants.yaml.
 */
import { PRINTER_COLUMNS } from './columns.ts';
import { CATEGORIES, GROUP, KIND, PLURAL, SHORT_NAMES, SINGULAR, VERSION } from './names.ts';
import { metadataSchema, RESERVED_ENV, specSchema, statusSchema } from './schema.ts';
import { toStructural, type Extensions, type StructuralSchema } from './structural.ts';
import { ENV_NAME_PATTERN, MESSAGES } from './validation.ts';

const SPEC_EXTENSIONS: Extensions = {
  '': {
    'x-kubernetes-validations': [
      {
        rule: 'has(self.adopt) == has(oldSelf.adopt) && (!has(self.adopt) || self.adopt.app == oldSelf.adopt.app)',
        message: MESSAGES.immutable,
        fieldPath: '.adopt',
      },
    ],
  },
  owner: { 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: MESSAGES.immutable }] },
  volumeGb: { 'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: MESSAGES.volumeShrinks }] },
  env: {
    'x-kubernetes-validations': [
      { rule: `self.all(name, name.matches('${ENV_NAME_PATTERN}'))`, message: MESSAGES.envName },
      {
        rule: `self.all(name, !name.startsWith('FLY_') && !(name in ['${RESERVED_ENV.join("', '")}']))`,
        message: MESSAGES.envReserved,
      },
    ],
  },
  // A set is a list without duplicates, and each entry may have another owner under server-side apply.
  hostnames: { 'x-kubernetes-list-type': 'set' },
};

const STATUS_EXTENSIONS: Extensions = {
  conditions: { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] },
};

/**
 * What `--field-selector` may choose by, beside name and namespace: the server indexes none of it, but sends only what
 * matches. Kubernetes 1.31 or newer; an older one ignores the list.
 */
export const SELECTABLE_FIELDS = [{ jsonPath: '.spec.owner' }];

/** The whole definition, as plain JSON. */
export function tenantCrd() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${PLURAL}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: PLURAL,
        singular: SINGULAR,
        shortNames: [...SHORT_NAMES],
        categories: [...CATEGORIES],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: PRINTER_COLUMNS.map(({ read: _read, ...column }) => column),
          selectableFields: SELECTABLE_FIELDS,
          schema: { openAPIV3Schema: tenantStructuralSchema() },
        },
      ],
    },
  };
}

/** What a Tenant looks like, for the CRD and for whoever serves its OpenAPI document. */
export function tenantStructuralSchema(): StructuralSchema {
  return {
    type: 'object',
    description: 'One tenant: an app on Fly with a volume, a machine and a database.',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      // The only thing of metadata that a definition may narrow: every hostname and name on Fly is at most a label.
      metadata: { type: 'object', properties: { name: toStructural(metadataSchema.shape.name, {}) } },
      spec: {
        description: 'What the tenant should be.',
        ...toStructural(specSchema, SPEC_EXTENSIONS),
      },
      status: {
        description: 'What the tenant is, as it was last observed. Written by Landlord.',
        ...toStructural(statusSchema, STATUS_EXTENSIONS),
      },
    },
    'x-kubernetes-validations': [
      {
        rule: '!has(oldSelf.status) || !has(oldSelf.status.volume) || self.spec.region == oldSelf.spec.region',
        message: MESSAGES.regionFixed,
        fieldPath: '.spec.region',
      },
    ],
  };
}
