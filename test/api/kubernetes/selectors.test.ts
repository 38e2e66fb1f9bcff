/** Which tenants does a selector select? As Kubernetes reads it. */
import { describe, expect, it } from 'vitest';
import { parseFieldSelector, parseLabelSelector } from '../../../src/api/kubernetes/selectors.ts';
import { tenantWith } from '../tenants.ts';

const tenant = tenantWith({
  metadata: { name: 'one', namespace: 'blue', labels: { a: '1', empty: '', 'example.com/b': 'x' } },
});

describe('labels', () => {
  it.each([
    ['', true],
    ['a', true],
    ['!a', false],
    ['z', false],
    ['!z', true],
    ['a=1', true],
    ['a==1', true],
    ['a = 1', true],
    ['a=2', false],
    ['a!=2', true],
    ['a!=1', false],
    ['z!=1', true],
    ['empty=', true],
    ['empty', true],
    ['z=', false],
    ['example.com/b=x,a=1', true],
    ['example.com/b=x,a=2', false],
    ['a=1, !z', true],
    ['toString', false],
    ['a in (1)', true],
    ['a in (2, 1)', true],
    ['a in(2)', false],
    ['z in (1)', false],
    ['empty in ()', true],
    ['a notin (2,3)', true],
    ['a notin (1,2)', false],
    ['z notin (1)', true],
    ['a in (1,2),!z', true],
    ['a in (1,2),z', false],
  ])('"%s" selects a tenant with a=1, empty= and example.com/b=x: %s', (text, want) => {
    expect(parseLabelSelector(text).matches(tenant)).toBe(want);
  });

  it.each([
    'a in 1',
    'a in (1',
    'a under (1)',
    '!a in (1)',
    'a in (ü)',
    '!a=1',
    '=1',
    'a=1=2',
    'a,',
    'a=ü',
    '-a',
    'a b',
    'a>1',
    'a/b/c=1',
  ])('"%s" is refused', (text) => {
    expect(() => parseLabelSelector(text)).toThrow('the label selector holds');
  });

  it('of too many parts is refused', () => {
    expect(() => parseLabelSelector(Array.from({ length: 65 }, (_, index) => `a${index}`).join(','))).toThrow(
      'the label selector has more than 64 requirements',
    );
  });
});

describe('fields', () => {
  it.each([
    ['', true],
    ['metadata.name=one', true],
    ['metadata.name==one', true],
    ['metadata.name!=one', false],
    ['metadata.name=two', false],
    ['metadata.name=one,metadata.namespace=blue', true],
    ['metadata.name=one,metadata.namespace=red', false],
    ['metadata.namespace!=red', true],
    ['spec.owner=ctm_1', true],
    ['spec.owner=ctm_2', false],
    ['spec.owner!=ctm_2,metadata.name=one', true],
  ])('"%s" selects blue/one: %s', (text, want) => {
    expect(parseFieldSelector(text).matches(tenant)).toBe(want);
  });

  it('pins down a name only where it must be equal', () => {
    expect(parseFieldSelector('metadata.name=one')).toMatchObject({ name: 'one' });
    expect(parseFieldSelector('metadata.name!=one').name).toBeUndefined();
  });

  it.each(['spec.plan=x', 'metadata.name', 'status.phase=running', 'metadata.name>a'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseFieldSelector(text)).toThrow('cannot read the field selector');
    },
  );
});
