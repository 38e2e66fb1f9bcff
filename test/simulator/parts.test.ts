import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatGoDuration, parseGoDuration } from '../../src/simulator/go-duration.ts';
import { machineId, nonce, opaqueId, privateIp, ulid, volumeId } from '../../src/simulator/identifiers.ts';
import { listedFace, newLagged, replaceFace } from '../../src/simulator/lag.ts';
import { refusedGuest } from '../../src/simulator/machine-guest.ts';
import { nextRandom } from '../../src/simulator/random.ts';
import { expandRegions, hostsIn, regions } from '../../src/simulator/regions.ts';
import { createRouter } from '../../src/simulator/router.ts';

describe('Go durations', () => {
  it.each([
    ['15s', '15s'],
    ['60s', '1m0s'],
    ['90m', '1h30m0s'],
    ['1h1m1.5s', '1h1m1.5s'],
    ['1500ms', '1.5s'],
    ['250us', '250µs'],
    ['.5s', '500ms'],
    ['0', '0s'],
    [60_000_000_000, '1m0s'],
  ])('%s reads back as %s', (sent, answered) => {
    expect(formatGoDuration(parseGoDuration(sent)!)).toBe(answered);
  });

  it.each([[''], ['s'], ['1'], ['1 s'], ['1sx'], ['-'], [1.5]])('%s is none', (value) => {
    expect(parseGoDuration(value)).toBeUndefined();
  });

  it('survive being written and read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9_000_000_000 }), (milliseconds) => {
        const nanoseconds = milliseconds * 1e6;
        expect(parseGoDuration(formatGoDuration(nanoseconds))).toBe(nanoseconds);
      }),
    );
  });
});

describe('identifiers', () => {
  it.each([
    ['machine', machineId, /^[0-9a-f]{14}$/],
    ['volume', volumeId, /^vol_[0-9a-z]{16}$/],
    ['app', opaqueId, /^[0-9a-z]{16}$/],
    ['nonce', nonce, /^[0-9a-f]{12}$/],
    [
      'version',
      (issuer: { random: number; sequence: number }) => ulid(issuer, 1),
      /^[0-9A-HJKMNP-TV-Z]{26}$/,
    ],
    ['address', privateIp, /^fdaa(:[0-9a-f]{1,4}){7}$/],
  ])('of a %s have their form and are never the same', (_, issue, form) => {
    const issuer = { random: 7, sequence: 0 };
    const issued = Array.from({ length: 5000 }, () => issue(issuer));
    expect(issued.filter((id) => !form.test(id))).toEqual([]);
    expect(new Set(issued).size).toBe(5000);
  });

  it('of events sort by time, also within a millisecond', () => {
    const issuer = { random: 7, sequence: 0 };
    const ids = [5, 5, 5, 6, 1000].map((at) => ulid(issuer, at));
    expect([...ids].sort()).toEqual(ids);
  });
});

describe('chance', () => {
  it('is even enough, and the same for the same seed', () => {
    const draw = (seed: number): number[] => {
      const seeded = { random: seed };
      return Array.from({ length: 10_000 }, () => nextRandom(seeded));
    };
    const drawn = draw(3);
    expect(drawn.every((value) => value >= 0 && value < 1)).toBe(true);
    expect(drawn.reduce((sum, value) => sum + value, 0) / drawn.length).toBeCloseTo(0.5, 1);
    expect(draw(3)).toEqual(drawn);
    expect(draw(4)).not.toEqual(drawn);
  });
});

describe('lag', () => {
  it('shows a reader exactly what was true one lag ago, when every lag is the same', () => {
    const changes = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 10 });
    fc.assert(
      fc.property(changes, fc.integer({ min: 0, max: 600 }), (gaps, later) => {
        const lagMs = 100;
        const record = newLagged(0, { now: 0, lagMs });
        const history = [{ at: 0, face: 0 }];
        let now = 0;
        for (const [index, gap] of gaps.entries()) {
          now += gap;
          replaceFace(record, index + 1, { now, lagMs });
          history.push({ at: now, face: index + 1 });
        }
        const at = now + later;
        const wanted = history.findLast((change) => change.at + lagMs <= at)?.face ?? null;
        expect(listedFace(record, at)).toBe(wanted);
      }),
    );
  });

  it('never goes back to an older face when a later change is quicker', () => {
    const record = newLagged('a', { now: 0, lagMs: 0 });
    replaceFace(record, 'b', { now: 10, lagMs: 1000 });
    replaceFace(record, 'c', { now: 20, lagMs: 0 });
    expect([0, 500, 1009, 1010].map((at) => listedFace(record, at))).toEqual(['a', 'a', 'a', 'c']);
  });
});

describe('the router', () => {
  const router = createRouter(
    ['/a', '/a/{id}', '/a/list', '/r/{name+}/tags/{tag}', '/r/{name+}/tags/list'].map((path) => ({
      method: 'GET',
      path,
      route: path,
    })),
  );

  it.each([
    ['/a', '/a', {}],
    ['/a/list', '/a/list', {}],
    ['/a/x%2Fy', '/a/{id}', { id: 'x/y' }],
    ['/a/%zz', '/a/{id}', { id: '%zz' }],
    ['/r/x/tags/1', '/r/{name+}/tags/{tag}', { name: 'x', tag: '1' }],
    ['/r/x/y/z/tags/list', '/r/{name+}/tags/list', { name: 'x/y/z' }],
    ['/r/tags/tags/1', '/r/{name+}/tags/{tag}', { name: 'tags', tag: '1' }],
  ])('finds %s under %s', (path, route, params) => {
    expect(router.find('GET', path)).toEqual({ route, params });
  });

  it.each([
    ['GET', '/'],
    ['GET', '/a/'],
    ['GET', '/a/b/c'],
    ['POST', '/a'],
    ['GET', `/r/${'x/'.repeat(50)}tags/1`],
  ])('finds nothing for %s %s', (method, path) => {
    expect(router.find(method, path)).toBeUndefined();
  });
});

describe('regions', () => {
  it('have eight hosts each, and no host is in two of them', () => {
    const hosts = regions.flatMap(({ code }) => hostsIn(code));
    expect(hosts).toHaveLength(18 * 8);
    expect(new Set(hosts).size).toBe(hosts.length);
    expect(hosts.filter((host) => !/^[0-9a-f]{4}$/.test(host))).toEqual([]);
  });

  it('expand in order of preference, each once', () => {
    expect(expandRegions('lhr, ams,lhr')).toEqual(['lhr', 'ams']);
    expect(expandRegions('fra,eu')).toEqual(['fra', 'ams', 'arn', 'cdg', 'lhr']);
    expect(expandRegions('any')).toHaveLength(18);
    expect(() => expandRegions('constructor')).toThrow('region "constructor" not found');
  });
});

describe('sizes', () => {
  it.each([
    ['shared', 1, 256, undefined],
    ['shared', 1, 2048, undefined],
    ['shared', 1, 2304, 'between 256 and 2048'],
    ['shared', 8, 2048, undefined],
    ['performance', 1, 2048, undefined],
    ['performance', 1, 1024, 'between 2048 and 8192'],
    ['performance', 2, 4352, 'multiple of 1024'],
    ['performance', 3, 6144, 'cannot have 3'],
  ] as const)('%s with %s cpus and %s MB', (kind, cpus, memoryMb, cause) => {
    const refused = refusedGuest({ cpu_kind: kind, cpus, memory_mb: memoryMb });
    if (cause === undefined) expect(refused).toBeUndefined();
    else expect(refused).toContain(cause);
  });
});
