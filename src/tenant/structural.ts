/**
 * How does a zod schema read in a CustomResourceDefinition? Kubernetes takes only "structural" schemas: a type at
 * every node, no references, no closed objects, only patterns that Go understands. Whatever this file does not know
 * how to say is an error, so that nothing of a schema is lost on the way.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
import { z } from 'zod';

/** A rule in CEL that the API server checks. */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  /** The field to blame, when it is not the one that carries the rule. */
  readonly fieldPath?: string;
}

/** What Kubernetes must know of a field and zod cannot say. */
export interface Extension {
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
}

/** The part of OpenAPI that the API server takes and that Tenants need. */
export interface StructuralSchema extends Extension {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly (string | number)[];
  readonly format?: 'date-time';
  readonly pattern?: string;
  readonly allOf?: readonly { readonly pattern: string }[];
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly items?: StructuralSchema;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly required?: readonly string[];
}

/**
 * The API server's own check of `date-time` lets pass what ISO 8601 and zod do not (a lowercase `t`, an offset of 99
 * hours); with this pattern beside it both take the same. zod's pattern says the same in ten times the length.
 */
const DATE_TIME_PATTERN =
  '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$';

/** What Kubernetes says in zod's own words; parsing with it leaves out everything else. */
const sameSchema = z.object({
  description: z.string().exactOptional(),
  default: z.unknown().exactOptional(),
  enum: z.array(z.union([z.string(), z.int()])).exactOptional(),
  format: z.literal('date-time').exactOptional(),
  pattern: z.string().exactOptional(),
  minLength: z.int().exactOptional(),
  maxLength: z.int().exactOptional(),
  maxItems: z.int().exactOptional(),
  maxProperties: z.int().exactOptional(),
  required: z.array(z.string()).exactOptional(),
});

/** What has to be put in other words. */
const ownSchema = z.object({
  $schema: z.string().exactOptional(),
  type: z.enum(['object', 'array', 'string', 'integer', 'number', 'boolean']),
  allOf: z.array(z.strictObject({ type: z.literal('string'), pattern: z.string() })).exactOptional(),
  minimum: z.number().exactOptional(),
  maximum: z.number().exactOptional(),
  propertyNames: z.strictObject({ type: z.literal('string'), maxLength: z.int() }).exactOptional(),
});

interface Node extends z.infer<typeof sameSchema>, z.infer<typeof ownSchema> {
  readonly items?: Node;
  readonly properties?: Record<string, Node>;
  readonly additionalProperties?: Node | false;
}

/** All that zod may say; anything else is refused. */
const nodeSchema: z.ZodType<Node> = z.strictObject({
  ...sameSchema.shape,
  ...ownSchema.shape,
  items: z.lazy(() => nodeSchema).exactOptional(),
  properties: z
    .record(
      z.string(),
      z.lazy(() => nodeSchema),
    )
    .exactOptional(),
  additionalProperties: z.union([z.literal(false), z.lazy(() => nodeSchema)]).exactOptional(),
});

/** Extensions by the path of their field, such as `hostnames` or `adopt.app`; an array's items are at `path[]`. */
export type Extensions = Readonly<Record<string, Extension>>;

/**
 * The schema of what a client may send: fields with a default are optional. Throws when zod says something that
 * Kubernetes has no word for, and when there is an extension for a field that does not exist.
 */
export function toStructural(schema: z.ZodType, extensions: Extensions): StructuralSchema {
  const unused = new Set(Object.keys(extensions));
  const node = nodeSchema.parse(z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }));
  const structural = convert({ node, path: '', extensions, unused });
  if (unused.size > 0) throw new Error(`cannot extend "${[...unused].join('", "')}": there is no such field`);
  return structural;
}

interface Conversion {
  readonly node: Node;
  readonly path: string;
  readonly extensions: Extensions;
  /** Extensions whose field has not been seen yet. */
  readonly unused: Set<string>;
}

function convert(conversion: Conversion): StructuralSchema {
  const { node, path, extensions, unused } = conversion;
  const { items, properties, additionalProperties } = node;
  const extension = extensions[path] ?? {};
  const rules = [...keyRules(node), ...(extension['x-kubernetes-validations'] ?? [])];
  unused.delete(path);
  return {
    ...scalars(node, path),
    ...(items && {
      'x-kubernetes-list-type': 'atomic',
      items: convert({ ...conversion, node: items, path: `${path}[]` }),
    }),
    ...(properties && { properties: convertEach(properties, conversion) }),
    // An object that is closed in zod is open here: the API server drops or refuses unknown fields by itself.
    ...(additionalProperties && {
      additionalProperties: convert({ ...conversion, node: additionalProperties, path: `${path}{}` }),
    }),
    ...extension,
    ...(rules.length > 0 && { 'x-kubernetes-validations': rules }),
  };
}

function convertEach(properties: Readonly<Record<string, Node>>, conversion: Conversion) {
  const below = (name: string) => (conversion.path === '' ? name : `${conversion.path}.${name}`);
  return Object.fromEntries(
    Object.entries(properties).map(([name, node]) => [
      name,
      convert({ ...conversion, node, path: below(name) }),
    ]),
  );
}

/** All that says nothing of other nodes. */
function scalars(node: Node, path: string): StructuralSchema {
  const { type, minimum, maximum, allOf } = node;
  const { description, ...same } = sameSchema.parse(node);
  if (type === 'number' && same.enum === undefined)
    throw new Error(`cannot convert "${path}": it may be a fraction`);
  return {
    type: type === 'number' ? 'integer' : type,
    ...(description !== undefined && { description }),
    ...same,
    ...(same.format === 'date-time' && { pattern: DATE_TIME_PATTERN }),
    ...(allOf && { allOf: allOf.map(({ pattern }) => ({ pattern })) }),
    // zod bounds every integer by what JavaScript can count; that is no rule of ours.
    ...(minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER && { minimum }),
    ...(maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER && { maximum }),
  };
}

/** A structural schema has no `propertyNames`. */
function keyRules({ propertyNames }: Node): ValidationRule[] {
  if (propertyNames === undefined) return [];
  const { maxLength } = propertyNames;
  return [
    {
      rule: `self.all(name, size(name) <= ${maxLength})`,
      message: `names must not be longer than ${maxLength} characters`,
    },
  ];
}
