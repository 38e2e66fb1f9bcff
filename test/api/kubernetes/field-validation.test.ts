/** What happens to fields that nobody knows? Words and verdicts beyond this: test/cluster/verdicts.test.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duplicateFields } from '../../../src/api/kubernetes/field-validation.ts';
import { prune } from '../../../src/api/kubernetes/known-fields.ts';
import { manifest, openHarness, TENANTS, type Harness } from '../harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness();
});
afterAll(() => harness.close());

const create = (name: string, query: string) =>
  harness.call('operator', 'POST', `${TENANTS}${query}`, { body: manifest(name, { spec: { imag: 'x' } }) });

describe('an unknown field', () => {
  it.each(['', '?fieldValidation=Warn'])('is dropped with a warning (%s)', async (query) => {
    const answer = await create(`warned${query.length}`, query);
    expect(answer.status).toBe(201);
    expect(answer.headers['warning']).toEqual(['299 - "unknown field \\"spec.imag\\""']);
    expect(answer.body.spec).not.toHaveProperty('imag');
  });

  it('is dropped in silence when nobody wants to know', async () => {
    const answer = await create('ignored', '?fieldValidation=Ignore');
    expect(answer.status).toBe(201);
    expect(answer.headers['warning']).toBeUndefined();
  });

  it('is refused when the writer is strict, and nothing is stored', async () => {
    const answer = await create('strict', '?fieldValidation=Strict');
    expect(answer).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
    expect(answer.body.message).toBe(
      'Tenant in version "v1alpha1" cannot be handled as a Tenant: strict decoding error: unknown field "spec.imag"',
    );
    expect((await harness.call('operator', 'GET', `${TENANTS}/strict`)).status).toBe(404);
  });

  it('is warned of once, however often a patch is tried', async () => {
    await harness.seed('tried');
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((label) =>
        harness.call('operator', 'PATCH', `${TENANTS}/tried`, {
          body: { metadata: { labels: { [label]: '1' } }, spec: { imag: 'x' } },
          headers: { 'content-type': 'application/merge-patch+json' },
        }),
      ),
    );
    for (const { status, headers } of answers)
      expect([status, headers['warning']]).toEqual([200, ['299 - "unknown field \\"spec.imag\\""']]);
  });

  it('whose name fits no header is told all the same', async () => {
    const answer = await harness.call('operator', 'POST', `${TENANTS}?dryRun=All`, {
      body: manifest('odd', { spec: { 'a\r\nb"ü': 1 } }),
    });
    expect(answer.status).toBe(201);
    expect(answer.headers['warning']).toEqual(['299 - "unknown field \\"spec.a??b\\"?\\""']);
  });
});

describe('duplicate fields', () => {
  it.each([
    ['{}', []],
    ['{"a":1,"b":{"a":1}}', []],
    ['{"a":1,"a":2,"a":3}', ['a']],
    ['{"a":{"b":1,"c":{"d":1,"d":1},"b":2}}', ['a.c.d', 'a.b']],
    ['{"a":[{"b":1},{"b":1,"b":2}]}', ['a[1].b']],
    ['{"a":1,"\\u0061":2}', ['a']],
    ['[{"a":1,"a":1}]', ['[0].a']],
  ])('of %s are %j', (text, want) => {
    expect(duplicateFields(text)).toEqual(want);
  });
});

describe('pruning', () => {
  it('keeps all that a tenant has', () => {
    const whole = manifest('whole', {
      metadata: { labels: { any: 'thing' }, annotations: { any: 'thing' }, managedFields: [] },
      spec: { env: { ANY: 'thing' }, adopt: { app: 'x' } },
      status: { phase: 'running', requested: { any: '2026-01-01T00:00:00Z' } },
    });
    expect(prune(whole)).toEqual({ object: whole, unknown: [] });
  });

  it('leaves what has another form than it should for others to refuse', () => {
    for (const object of [null, 1, 'x', [1], { spec: [1], metadata: 'x', status: 'y' }])
      expect(prune(object)).toEqual({ object, unknown: [] });
  });

  it('never takes an inherited name for a field', () => {
    expect(prune({ spec: { toString: 1 }, constructor: 2 }).unknown).toEqual([
      'constructor',
      'spec.toString',
    ]);
  });
});

describe('a body that is nested without an end', () => {
  it.each(['application/json', 'application/merge-patch+json'])('is refused as %s', async (type) => {
    const body = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`;
    const answer = await harness.call(
      'operator',
      type === 'application/json' ? 'POST' : 'PATCH',
      type === 'application/json' ? TENANTS : `${TENANTS}/any`,
      { body, headers: { 'content-type': type } },
    );
    expect(answer).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
    expect(answer.body.message).toContain('nested deeper than 64 levels');
  });
});
