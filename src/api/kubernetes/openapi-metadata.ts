/**
 * What do the parts look like that every Kubernetes object has? The schemas of metav1 to which the OpenAPI document
 * of Tenants refers: the same fields as the API server's, described in fewer words.
 */

/** As far as OpenAPI 3.0 is needed here. */
export interface OpenApiSchema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly required?: readonly string[];
  readonly items?: OpenApiSchema;
  readonly properties?: Readonly<Record<string, OpenApiSchema>>;
  readonly additionalProperties?: OpenApiSchema;
  readonly allOf?: readonly OpenApiSchema[];
  readonly $ref?: string;
  readonly [extension: `x-kubernetes-${string}`]: unknown;
}

export const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';

/** Refers to a schema of the document by its name. */
export function reference(name: string): OpenApiSchema {
  return { $ref: `#/components/schemas/${name}` };
}

const text = (description: string): OpenApiSchema => ({ type: 'string', description });
const whole = (description: string): OpenApiSchema => ({ type: 'integer', format: 'int64', description });
const texts = (description: string): OpenApiSchema => ({
  type: 'array',
  description,
  items: { type: 'string' },
});
const textMap = (description: string): OpenApiSchema => ({
  type: 'object',
  description,
  additionalProperties: { type: 'string' },
});
const described = (description: string, name: string): OpenApiSchema => ({
  description,
  allOf: [reference(`${META}.${name}`)],
});

export const API_VERSION_FIELD = text('Group and version of the schema that this object is written in.');
export const KIND_FIELD = text('Which kind of object this is. In CamelCase. Cannot be changed.');

const objectMeta: OpenApiSchema = {
  type: 'object',
  description: 'What every object says of itself.',
  properties: {
    annotations: textMap('Notes that tools keep with the object. Not for selecting objects.'),
    creationTimestamp: described('When the object was created. Set by the server.', 'Time'),
    deletionGracePeriodSeconds: whole('Not used here.'),
    deletionTimestamp: described(
      'When the deletion was asked for. The object goes when its finalizers are gone. Set by the server.',
      'Time',
    ),
    finalizers: {
      ...texts('Who must be done with the object before it may go.'),
      'x-kubernetes-list-type': 'set',
      'x-kubernetes-patch-strategy': 'merge',
    },
    generateName: text('Beginning of a name that the server makes unique, where there is no name.'),
    generation: whole('Count of the changes of the desired state. Set by the server.'),
    labels: textMap('Names and values by which objects are selected.'),
    managedFields: {
      type: 'array',
      description: 'Who owns which field. Not kept here.',
      items: described('Fields of one owner.', 'ManagedFieldsEntry'),
      'x-kubernetes-list-type': 'atomic',
    },
    name: text('Unique within its namespace. Cannot be changed.'),
    namespace: text('The space within which the name is unique. Cannot be changed.'),
    ownerReferences: {
      type: 'array',
      description: 'Objects on which this one depends. Not kept here.',
      items: described('One object on which this one depends.', 'OwnerReference'),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
    },
    resourceVersion: text('Changes with every write; for optimistic concurrency and for watches.'),
    selfLink: text('Not used.'),
    uid: text('Unique in space and time. Set by the server.'),
  },
};

/** Every schema of metav1 that is referred to, by name. */
export const META_SCHEMAS: Readonly<Record<string, OpenApiSchema>> = {
  [`${META}.ObjectMeta`]: objectMeta,
  [`${META}.Time`]: { type: 'string', format: 'date-time', description: 'A time in RFC 3339.' },
  [`${META}.Patch`]: { type: 'object', description: 'A patch in the form that the content type names.' },
  [`${META}.FieldsV1`]: { type: 'object', description: 'A set of fields.' },
  [`${META}.ManagedFieldsEntry`]: {
    type: 'object',
    description: 'Fields of one owner.',
    properties: {
      apiVersion: text('Version of the schema to which the fields belong.'),
      fieldsType: text('Form of the set of fields.'),
      fieldsV1: described('The fields.', 'FieldsV1'),
      manager: text('The owner.'),
      operation: text('Apply or Update.'),
      subresource: text('Through which subresource they were written.'),
      time: described('When they were written.', 'Time'),
    },
  },
  [`${META}.OwnerReference`]: {
    type: 'object',
    description: 'An object on which another depends.',
    required: ['apiVersion', 'kind', 'name', 'uid'],
    properties: {
      apiVersion: text('Group and version of the owner.'),
      blockOwnerDeletion: { type: 'boolean', description: 'The owner waits for this object when it goes.' },
      controller: { type: 'boolean', description: 'The owner is the controller of this object.' },
      kind: text('Kind of the owner.'),
      name: text('Name of the owner.'),
      uid: text('Uid of the owner.'),
    },
  },
  [`${META}.ListMeta`]: {
    type: 'object',
    description: 'What every list says of itself.',
    properties: {
      continue: text('Asks for the rest of the list.'),
      remainingItemCount: whole('Not told here.'),
      resourceVersion: text('From here a watch misses nothing of what came after the list.'),
      selfLink: text('Not used.'),
    },
  },
  [`${META}.Preconditions`]: {
    type: 'object',
    description: 'What must be true of the object for the deletion to be done.',
    properties: { resourceVersion: text('Its resourceVersion.'), uid: text('Its uid.') },
  },
  [`${META}.DeleteOptions`]: {
    type: 'object',
    description: 'How an object is to be deleted.',
    properties: {
      apiVersion: API_VERSION_FIELD,
      dryRun: { ...texts('All: nothing is deleted.'), 'x-kubernetes-list-type': 'atomic' },
      gracePeriodSeconds: whole('Not used here.'),
      kind: KIND_FIELD,
      orphanDependents: { type: 'boolean', description: 'Not used.' },
      preconditions: described('What must be true.', 'Preconditions'),
      propagationPolicy: text('Foreground, Background or Orphan: all the same, a Tenant has no dependents.'),
    },
  },
  [`${META}.StatusCause`]: {
    type: 'object',
    description: 'One of the things that are wrong.',
    properties: {
      field: text('Path of the field.'),
      message: text('What is wrong, for people.'),
      reason: text('What is wrong, for programs.'),
    },
  },
  [`${META}.StatusDetails`]: {
    type: 'object',
    description: 'What the answer is about.',
    properties: {
      causes: {
        type: 'array',
        description: 'Everything that is wrong.',
        items: described('One cause.', 'StatusCause'),
        'x-kubernetes-list-type': 'atomic',
      },
      group: text('Group of the object.'),
      kind: text('Kind or resource of the object.'),
      name: text('Name of the object.'),
      retryAfterSeconds: { type: 'integer', format: 'int32', description: 'When to try again.' },
      uid: text('Uid of the object.'),
    },
  },
  [`${META}.Status`]: {
    type: 'object',
    description: 'An answer that is no object.',
    properties: {
      apiVersion: API_VERSION_FIELD,
      code: { type: 'integer', format: 'int32', description: 'The HTTP status.' },
      details: described('What it is about.', 'StatusDetails'),
      kind: KIND_FIELD,
      message: text('What happened, for people.'),
      metadata: described('Empty.', 'ListMeta'),
      reason: text('What happened, for programs.'),
      status: text('Success or Failure.'),
    },
  },
};
