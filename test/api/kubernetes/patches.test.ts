/** What do patches make of an object? The rules of RFC 7396 and RFC 6902, and what is refused for safety. */
import { describe, expect, it } from 'vitest';
import { JSON_PATCH, mergePatch, readPatch } from '../../../src/api/kubernetes/patches.ts';

describe('a merge patch', () => {
  // The examples of RFC 7396, appendix A.
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('makes of %j by %j %j', (target, patch, want) => {
    const before = structuredClone(target);
    expect(mergePatch(target, patch)).toEqual(want);
    expect(target).toEqual(before);
  });

  it('keeps what comes after a key with a name of its own', () => {
    const patch: unknown = JSON.parse('{"constructor":"x","__proto__":{"polluted":1},"later":"y"}');
    const merged = mergePatch({ kept: 'z' }, patch);
    expect(JSON.stringify(merged)).toBe(
      '{"kept":"z","constructor":"x","__proto__":{"polluted":1},"later":"y"}',
    );
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
  });
});

describe('a JSON patch', () => {
  const document = { spec: { a: 1, list: ['x', 'y'] }, labels: { 'a/b': '1', 'c~d': '2' } };
  const apply = (...operations: object[]): unknown => readPatch(JSON_PATCH, operations)(document);

  it.each([
    [{ op: 'add', path: '/spec/b', value: 2 }, { spec: { a: 1, list: ['x', 'y'], b: 2 } }],
    [{ op: 'add', path: '/spec/list/1', value: 'new' }, { spec: { a: 1, list: ['x', 'new', 'y'] } }],
    [{ op: 'add', path: '/spec/list/-', value: 'last' }, { spec: { a: 1, list: ['x', 'y', 'last'] } }],
    [{ op: 'replace', path: '/spec/a', value: null }, { spec: { a: null, list: ['x', 'y'] } }],
    [{ op: 'remove', path: '/labels/a~1b' }, { labels: { 'c~d': '2' } }],
    [{ op: 'move', from: '/spec/a', path: '/spec/b' }, { spec: { b: 1, list: ['x', 'y'] } }],
    [{ op: 'copy', from: '/labels/c~0d', path: '/spec/a' }, { spec: { a: '2', list: ['x', 'y'] } }],
    [{ op: 'test', path: '/spec/list', value: ['x', 'y'] }, {}],
  ])('%j', (operation, changed) => {
    expect(apply(operation)).toEqual({ ...document, ...changed });
  });

  it('leaves the object alone that it is applied to', () => {
    const before = structuredClone(document);
    apply({ op: 'remove', path: '/spec/list/0' }, { op: 'add', path: '/new', value: { a: 1 } });
    expect(document).toEqual(before);
  });

  it.each([
    ['a test that fails', { op: 'test', path: '/spec/a', value: 2 }, 'the value is another one'],
    ['a path to nothing', { op: 'remove', path: '/spec/b' }, 'there is nothing at this path'],
    ['a place below nothing', { op: 'add', path: '/spec/b/c', value: 1 }, 'there is nothing at this path'],
    [
      'an index beyond the end',
      { op: 'add', path: '/spec/list/3', value: 1 },
      'there is nothing at this path',
    ],
    ['what is no path', { op: 'add', path: 'spec', value: 1 }, 'this is not a path'],
    ['an unknown operation', { op: 'frob', path: '/spec' }, 'not an operation of RFC 6902'],
    ['an operation without a value', { op: 'add', path: '/spec/b' }, 'not an operation of RFC 6902'],
    [
      'a key that the library passes over',
      { op: 'add', path: '/labels/constructor', value: 1 },
      'merge patch',
    ],
    ['the way to a prototype', { op: 'add', path: '/__proto__/polluted', value: 1 }, 'merge patch'],
  ])('refuses %s', (_name, operation, message) => {
    expect(() => apply(operation)).toThrow(message);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('says which operation it was', () => {
    expect(() =>
      apply({ op: 'test', path: '/spec/a', value: 1 }, { op: 'test', path: '/spec/a', value: 2 }),
    ).toThrow('cannot apply operation 1 of the JSON patch: test "/spec/a"');
  });

  it('does not let copies of copies fill the memory', () => {
    const copies = Array.from({ length: 40 }, (_, index) => ({
      op: 'copy',
      from: '/spec',
      path: `/spec/copy${index}`,
    }));
    expect(() => apply(...copies)).toThrow('the patch copies too much');
  });
});
