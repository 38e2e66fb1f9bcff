import { describe, expect, it } from 'vitest';
import { createCache } from '../../src/controller/cache.ts';

interface Thing {
  readonly name: string;
  readonly uid: string;
  readonly version: string;
  readonly owner?: string;
  readonly labels?: readonly string[];
}

function setUp() {
  return createCache({
    identify: (thing: Thing) => ({ key: thing.name, uid: thing.uid, resourceVersion: thing.version }),
    indexes: {
      owner: (thing: Thing) => (thing.owner === undefined ? [] : [thing.owner]),
      label: (thing: Thing) => thing.labels ?? [],
    },
  });
}

const a1: Thing = { name: 'a', uid: 'uid-1', version: '1' };
const a2: Thing = { name: 'a', uid: 'uid-1', version: '2' };
const reborn: Thing = { name: 'a', uid: 'uid-2', version: '3' };
const b: Thing = { name: 'b', uid: 'uid-b', version: '4' };

describe('a cache', () => {
  it('tells of what is new, what changed and what is gone', () => {
    const cache = setUp();
    expect(cache.upsert(a1)).toEqual([{ key: 'a', after: a1 }]);
    expect(cache.upsert(a2)).toEqual([{ key: 'a', before: a1, after: a2 }]);
    expect(cache.remove(a2)).toEqual([{ key: 'a', before: a2 }]);
    expect(cache.size).toBe(0);
    expect(cache.get('a')).toBeUndefined();
  });

  it('says nothing of what it already knows', () => {
    const cache = setUp();
    cache.upsert(a1);
    expect(cache.upsert({ ...a1 })).toEqual([]);
  });

  it('takes an object with another uid for another object: one deleted, one added', () => {
    const cache = setUp();
    cache.upsert(a1);
    expect(cache.upsert(reborn)).toEqual([
      { key: 'a', before: a1 },
      { key: 'a', after: reborn },
    ]);
    expect(cache.items()).toEqual([reborn]);
  });

  it('keeps an object when it hears late that its predecessor is gone', () => {
    const cache = setUp();
    cache.upsert(reborn);
    expect(cache.remove(a2)).toEqual([]);
    expect(cache.get('a')).toEqual(reborn);
  });

  it('says nothing when it hears that an object is gone which it never had', () => {
    expect(setUp().remove(a1)).toEqual([]);
  });

  it('makes up for what it missed when everything is replaced', () => {
    const cache = setUp();
    cache.upsert(a1);
    cache.upsert(b);
    const c: Thing = { name: 'c', uid: 'uid-c', version: '5' };
    expect(cache.replace([reborn, c])).toEqual([
      { key: 'b', before: b },
      { key: 'a', before: a1 },
      { key: 'a', after: reborn },
      { key: 'c', after: c },
    ]);
    expect(
      cache
        .items()
        .map((thing) => thing.name)
        .sort(),
    ).toEqual(['a', 'c']);
  });

  it('believes the last of two objects with one key in a list', () => {
    const cache = setUp();
    expect(cache.replace([a1, reborn])).toEqual([{ key: 'a', after: reborn }]);
  });

  it('freezes what it hands out, all the way down', () => {
    const cache = setUp();
    cache.upsert({ ...a1, labels: ['x'] });
    const cached = cache.get('a')!;
    expect(() => Object.assign(cached, { owner: 'eve' })).toThrow(TypeError);
    expect(() => (cached.labels as string[]).push('y')).toThrow(TypeError);
  });
});

describe('an index', () => {
  it('finds every object that has the value, under each of its values', () => {
    const cache = setUp();
    cache.upsert({ ...a1, owner: 'ann', labels: ['x', 'y'] });
    cache.upsert({ ...b, owner: 'ann', labels: ['y'] });
    const names = (things: Thing[]) => things.map((thing) => thing.name);
    expect(names(cache.byIndex('owner', 'ann'))).toEqual(['a', 'b']);
    expect(names(cache.byIndex('label', 'x'))).toEqual(['a']);
    expect(names(cache.byIndex('label', 'y'))).toEqual(['a', 'b']);
    expect(cache.byIndex('owner', 'bob')).toEqual([]);
  });

  it('follows an object that changes, is made anew, or goes', () => {
    const cache = setUp();
    cache.upsert({ ...a1, owner: 'ann' });
    cache.upsert({ ...a2, owner: 'bob' });
    expect(cache.byIndex('owner', 'ann')).toEqual([]);
    expect(cache.byIndex('owner', 'bob')).toHaveLength(1);
    cache.upsert({ ...reborn, owner: 'cat' });
    expect(cache.byIndex('owner', 'bob')).toEqual([]);
    cache.remove(reborn);
    expect(cache.byIndex('owner', 'cat')).toEqual([]);
  });
});
