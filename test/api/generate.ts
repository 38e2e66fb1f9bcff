/**
 * Values for a JSON Schema of the API's own document: right ones, and ones that are wrong in one place. It knows the
 * keywords that the document uses and refuses any other, so that none is silently passed over. What no schema tells,
 * such as which price is on offer, the test tells by the names of fields.
 */
import fc from 'fast-check';
import type { Json } from '../../src/api/openapi.ts';

type Value = fc.Arbitrary<unknown>;

const KNOWN = [
  '$ref',
  'additionalProperties',
  'anyOf',
  'const',
  'default',
  'description',
  'enum',
  'exclusiveMinimum',
  'format',
  'items',
  'maxItems',
  'maxLength',
  'maximum',
  'minItems',
  'minLength',
  'minimum',
  'pattern',
  'properties',
  'propertyNames',
  'required',
  'title',
  'type',
];

export interface World {
  /** Follows a `$ref`. */
  readonly resolve: (ref: string) => Json;
  /** By the name of a field or parameter: values that mean something here. */
  readonly known: Readonly<Record<string, readonly unknown[]>>;
}

/** Mostly right values. */
export function valuesOf(schema: Json, world: World): Value {
  const unknown = Object.keys(schema).filter((keyword) => !KNOWN.includes(keyword));
  if (unknown.length > 0) throw new Error(`cannot generate for the keywords ${unknown.join(', ')}`);
  const inner = (child: unknown): Value => valuesOf(child as Json, world);
  if (typeof schema['$ref'] === 'string') return inner(world.resolve(schema['$ref']));
  if ('const' in schema) return fc.constant(schema['const']);
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  if (Array.isArray(schema['anyOf'])) return fc.oneof(...schema['anyOf'].map(inner));
  switch (schema['type']) {
    case 'string':
      return strings(schema);
    case 'integer':
    case 'number':
      return fc.integer({ min: Number(schema['minimum'] ?? -1000), max: Number(schema['maximum'] ?? 1000) });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(inner(schema['items'] ?? {}), { maxLength: 5 });
    case 'object':
      return objects(schema, (child, name) => named(inner(child), name, world));
    default:
      return fc.jsonValue();
  }
}

/** Now and then, and often enough for several fields to meet: one of the values that mean something. */
export function named(values: Value, name: string, { known }: World): Value {
  const meaning = known[name];
  return meaning === undefined
    ? values
    : fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...meaning) }, values);
}

/** Right values, values with one part replaced by something else, and anything at all. */
export function attemptsAt(schema: Json, world: World): Value {
  const right = valuesOf(schema, world);
  const broken = fc
    .tuple(right, fc.jsonValue(), fc.string())
    .map(([value, wrong, name]) => spoil(value, wrong, name));
  return fc.oneof({ weight: 5, arbitrary: right }, { weight: 3, arbitrary: broken }, fc.jsonValue());
}

function spoil(value: unknown, wrong: unknown, name: string): unknown {
  if (Array.isArray(value)) return [...(value as unknown[]), wrong];
  if (typeof value !== 'object' || value === null) return wrong;
  const keys = [...Object.keys(value), name];
  return { ...value, [keys[name.length % keys.length] ?? name]: wrong };
}

function strings(schema: Json): Value {
  if (schema['format'] === 'uuid') return fc.uuid();
  if (typeof schema['pattern'] === 'string')
    return fc.oneof(fc.stringMatching(new RegExp(schema['pattern'])), fc.string());
  return fc.string({
    unit: 'grapheme',
    minLength: Number(schema['minLength'] ?? 0),
    maxLength: Math.min(Number(schema['maxLength'] ?? 40), 600),
  });
}

function objects(schema: Json, inner: (child: unknown, name: string) => Value): Value {
  const properties = Object.entries((schema['properties'] ?? {}) as Json);
  const required = (schema['required'] ?? []) as string[];
  const fixed = fc.record(Object.fromEntries(properties.map(([name, child]) => [name, inner(child, name)])), {
    requiredKeys: required,
  });
  const more = schema['additionalProperties'];
  if (typeof more !== 'object') return fixed;
  const names = fc.oneof(fc.stringMatching(/^[A-Z][A-Z0-9_]{0,8}$/), fc.string());
  return fc
    .tuple(fixed, fc.dictionary(names, inner(more, ''), { maxKeys: 4 }))
    .map(([own, others]) => ({ ...others, ...own }));
}
