import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { toStructural } from '../../src/tenant/structural.ts';
import { structuralBreaches } from './structural-rules.ts';

describe('a zod schema as a structural schema', () => {
  it.each([
    { name: 'text', schema: z.string().min(1).max(9), want: { type: 'string', minLength: 1, maxLength: 9 } },
    {
      name: 'text of a pattern',
      schema: z.string().regex(/^a+$/),
      want: { type: 'string', pattern: '^a+$' },
    },
    {
      name: 'text of two patterns: as a junctor that says nothing but the patterns',
      schema: z.string().regex(/^a/).regex(/b$/),
      want: { type: 'string', allOf: [{ pattern: '^a' }, { pattern: 'b$' }] },
    },
    { name: 'a whole number, without JavaScript’s own bounds', schema: z.int(), want: { type: 'integer' } },
    {
      name: 'a whole number with bounds',
      schema: z.int().min(1).max(5),
      want: { type: 'integer', minimum: 1, maximum: 5 },
    },
    { name: 'one of several numbers', schema: z.literal([1, 2]), want: { type: 'integer', enum: [1, 2] } },
    { name: 'one of several words', schema: z.enum(['a', 'b']), want: { type: 'string', enum: ['a', 'b'] } },
    { name: 'yes or no', schema: z.boolean(), want: { type: 'boolean' } },
    {
      name: 'a description',
      schema: z.boolean().describe('Why.'),
      want: { type: 'boolean', description: 'Why.' },
    },
    { name: 'a default', schema: z.boolean().default(true), want: { type: 'boolean', default: true } },
    {
      name: 'a list, which is replaced as a whole unless somebody says otherwise',
      schema: z.array(z.boolean()).max(3),
      want: { type: 'array', maxItems: 3, 'x-kubernetes-list-type': 'atomic', items: { type: 'boolean' } },
    },
    {
      name: 'an object that is closed: unknown fields are the server’s business',
      schema: z.strictObject({ a: z.boolean(), b: z.boolean().optional(), c: z.boolean().default(true) }),
      want: {
        type: 'object',
        properties: { a: { type: 'boolean' }, b: { type: 'boolean' }, c: { type: 'boolean', default: true } },
        required: ['a'],
      },
    },
    {
      name: 'a map, with a rule for the length of its names',
      schema: z.record(z.string().max(8), z.boolean()).meta({ maxProperties: 2 }),
      want: {
        type: 'object',
        maxProperties: 2,
        additionalProperties: { type: 'boolean' },
        'x-kubernetes-validations': [
          { rule: 'self.all(name, size(name) <= 8)', message: 'names must not be longer than 8 characters' },
        ],
      },
    },
  ])('says $name', ({ schema, want }) => {
    expect(toStructural(schema, {})).toEqual(want);
  });

  it('says a time by its format and a pattern that Go understands', () => {
    const { pattern, ...rest } = toStructural(z.iso.datetime({ offset: true }), {});
    expect(rest).toEqual({ type: 'string', format: 'date-time' });
    expect('2026-01-01T00:00:00.5+05:30').toMatch(new RegExp(pattern!));
    expect('2026-01-01t00:00:00z').not.toMatch(new RegExp(pattern!));
    expect('2026-01-01T00:00:00+99:00').not.toMatch(new RegExp(pattern!));
  });

  it('puts extensions where they belong, beside what the schema says itself', () => {
    const rule = { rule: 'self == oldSelf', message: 'cannot be changed' };
    const schema = z.object({
      list: z.array(z.object({ key: z.string().max(1) })).max(1),
      map: z.record(z.string().max(8), z.boolean()),
    });
    const result = toStructural(schema, {
      '': { 'x-kubernetes-validations': [rule] },
      list: { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['key'] },
      'list[].key': { 'x-kubernetes-validations': [rule] },
      map: { 'x-kubernetes-validations': [rule] },
    });
    expect(result['x-kubernetes-validations']).toEqual([rule]);
    expect(result.properties?.['list']).toMatchObject({
      'x-kubernetes-list-type': 'map',
      items: { properties: { key: { 'x-kubernetes-validations': [rule] } } },
    });
    expect(result.properties?.['map']?.['x-kubernetes-validations']).toHaveLength(2);
  });

  it.each([
    {
      name: 'an extension for a field that is not there',
      convert: () => toStructural(z.object({}), { gone: {} }),
    },
    { name: 'a number that may be a fraction', convert: () => toStructural(z.number(), {}) },
    { name: 'a choice between types', convert: () => toStructural(z.union([z.string(), z.int()]), {}) },
    { name: 'what may be null', convert: () => toStructural(z.string().nullable(), {}) },
    { name: 'an open end', convert: () => toStructural(z.int().gt(1.5), {}) },
    {
      name: 'a format that the API server does not check as we do',
      convert: () => toStructural(z.email(), {}),
    },
    {
      name: 'a map whose names may be of any length',
      convert: () => toStructural(z.record(z.string(), z.int()), {}),
    },
    { name: 'a tuple', convert: () => toStructural(z.tuple([z.int()]), {}) },
  ])('refuses $name, instead of leaving it out', ({ convert }) => {
    expect(convert).toThrow();
  });
});

describe('the rules that definitions are held to in these tests', () => {
  const text = { type: 'string', maxLength: 1 };
  const transition = { rule: 'self == oldSelf', message: 'm' };

  it('find nothing in a schema that keeps to them', () => {
    const schema = {
      type: 'object',
      required: ['a'],
      properties: { a: text, m: { type: 'object', maxProperties: 1, additionalProperties: text } },
      'x-kubernetes-validations': [{ ...transition, fieldPath: '.a' }],
    };
    expect(structuralBreaches(schema)).toEqual([]);
  });

  it.each<{ name: string; schema: Record<string, unknown>; breach: string }>([
    { name: 'no type', schema: { description: 'd' }, breach: '(root): no type' },
    { name: 'a reference', schema: { ...text, $ref: '#/a' }, breach: '(root): unknown keyword $ref' },
    { name: 'a choice', schema: { ...text, anyOf: [] }, breach: '(root): unknown keyword anyOf' },
    {
      name: 'a closed object',
      schema: { type: 'object', maxProperties: 1, additionalProperties: false },
      breach: '(root): additionalProperties is no schema',
    },
    { name: 'unbounded text', schema: { type: 'string' }, breach: '(root): no maxLength' },
    { name: 'an unbounded list', schema: { type: 'array', items: text }, breach: '(root): no maxItems' },
    {
      name: 'an unbounded map',
      schema: { type: 'object', additionalProperties: text },
      breach: '(root): no maxProperties',
    },
    {
      name: 'a map with fields',
      schema: { type: 'object', maxProperties: 1, properties: { a: text }, additionalProperties: text },
      breach: '(root): both properties and additionalProperties',
    },
    {
      name: 'a look-ahead',
      schema: { ...text, pattern: '^(?!a)' },
      breach: '(root): pattern is not RE2: ^(?!a)',
    },
    {
      name: 'a look-behind in a junctor',
      schema: { ...text, allOf: [{ pattern: '(?<=a)b' }] },
      breach: '(root): pattern is not RE2: (?<=a)b',
    },
    {
      name: 'a back-reference',
      schema: { ...text, pattern: '(a)\\1' },
      breach: '(root): pattern is not RE2: (a)\\1',
    },
    {
      name: 'too many repetitions',
      schema: { ...text, pattern: 'a{1,1001}' },
      breach: '(root): pattern is not RE2: a{1,1001}',
    },
    {
      name: 'a type in a junctor',
      schema: { ...text, allOf: [{ type: 'string' }] },
      breach: '(root): type within allOf',
    },
    {
      name: 'a set of objects',
      schema: { type: 'array', maxItems: 1, 'x-kubernetes-list-type': 'set', items: { type: 'object' } },
      breach: '(root): a set of what is no scalar',
    },
    {
      name: 'a map by a key that may be absent',
      schema: {
        type: 'array',
        maxItems: 1,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['a'],
        items: { type: 'object', properties: { a: text } },
      },
      breach: '(root): the key a may be absent',
    },
    {
      name: 'a requirement of nothing',
      schema: { type: 'object', properties: { a: { type: 'object', required: ['b'] } } },
      breach: 'a: requires b, which is no property',
    },
    {
      name: 'a rule without a message',
      schema: { ...text, 'x-kubernetes-validations': [{ rule: 'true' }] },
      breach: '(root): no message of one line: true',
    },
    {
      name: 'a rule that blames nobody',
      schema: {
        type: 'object',
        properties: { a: text },
        'x-kubernetes-validations': [{ ...transition, fieldPath: '.b' }],
      },
      breach: '(root): fieldPath leads nowhere: .b',
    },
    {
      name: 'a transition in a list without identity',
      schema: { type: 'array', maxItems: 1, items: { ...text, 'x-kubernetes-validations': [transition] } },
      breach: '[]: a transition rule where nothing can be correlated: self == oldSelf',
    },
  ])('find $name', ({ schema, breach }) => {
    expect(structuralBreaches(schema)).toEqual([breach]);
  });
});
