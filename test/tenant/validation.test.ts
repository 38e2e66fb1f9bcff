import { describe, expect, it } from 'vitest';
import { RESERVED_ENV, specSchema, type TenantStatus } from '../../src/tenant/schema.ts';
import { transitionIssues, validateSpec } from '../../src/tenant/validation.ts';
import { MINIMAL_SPEC, tenantOf } from './documents.ts';

const withVolume: TenantStatus = { volume: { id: 'vol_1', sizeGb: 1, region: 'iad' } };
const beforeVolume: TenantStatus = { phase: 'provisioning', app: { name: 'sp-1' } };

describe('the environment', () => {
  const issuesOf = (env: Record<string, string>) => {
    const result = validateSpec({ ...MINIMAL_SPEC, env });
    return result.ok ? [] : result.issues;
  };

  it.each(['A', 'LOG_LEVEL', '_', '_9', 'FLYWEIGHT', 'PORTS'])('may be given the name %s', (name) => {
    expect(issuesOf({ [name]: 'x' })).toEqual([]);
  });

  it.each(['a', 'Log_Level', '9A', 'A-B', 'A B', 'A\n', 'Ä', ''])(
    'may not be given the name "%s"',
    (name) => {
      expect(issuesOf({ [name]: 'x' })).toEqual([
        { path: `spec.env.${name}`, message: 'must be an uppercase name such as LOG_LEVEL' },
      ]);
    },
  );

  it.each([...RESERVED_ENV, 'FLY_', 'FLY_APP_NAME'])('may not shadow %s', (name) => {
    expect(issuesOf({ [name]: 'x' })).toEqual([
      { path: `spec.env.${name}`, message: 'is set by Landlord or by Fly and cannot be set here' },
    ]);
  });

  it('has at most a hundred entries', () => {
    const env = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`NAME_${n}`, '']));
    expect(issuesOf(env(100))).toEqual([]);
    expect(issuesOf(env(101))).toEqual([
      { path: 'spec.env', message: 'must not have more than 100 entries' },
    ]);
  });

  it('is told of everything that is wrong with it at once', () => {
    expect(issuesOf({ a: '', PORT: '', FINE: '' }).map((issue) => issue.path)).toEqual([
      'spec.env.a',
      'spec.env.PORT',
    ]);
  });
});

describe('hostnames', () => {
  it('are refused when listed twice, at every place but the first', () => {
    const hostnames = ['a.example.com', 'b.example.com', 'a.example.com', 'a.example.com'];
    expect(validateSpec({ ...MINIMAL_SPEC, hostnames })).toEqual({
      ok: false,
      issues: [
        { path: 'spec.hostnames[2]', message: 'must not be listed twice' },
        { path: 'spec.hostnames[3]', message: 'must not be listed twice' },
      ],
    });
  });
});

describe('a new spec', () => {
  const CASES: {
    name: string;
    before: object;
    after: object;
    status?: TenantStatus;
    issues: [string, string][];
  }[] = [
    { name: 'may be the same', before: {}, after: {}, issues: [] },
    {
      name: 'may change everything that is not fixed',
      before: {},
      after: {
        plan: 'pro',
        memoryMb: 1024,
        state: 'Suspended',
        env: { A: '1' },
        hostnames: ['a.b'],
        deletionPolicy: 'Orphan',
      },
      status: withVolume,
      issues: [],
    },
    {
      name: 'may not change the owner',
      before: {},
      after: { owner: 'ctm_456' },
      issues: [['spec.owner', 'cannot be changed']],
    },
    {
      name: 'may grow the volume',
      before: { volumeGb: 2 },
      after: { volumeGb: 3 },
      status: withVolume,
      issues: [],
    },
    {
      name: 'may not shrink the volume',
      before: { volumeGb: 2 },
      after: { volumeGb: 1 },
      issues: [['spec.volumeGb', 'may grow, never shrink']],
    },
    {
      name: 'may not shrink the volume by leaving its size to the default',
      before: { volumeGb: 2 },
      after: {},
      issues: [['spec.volumeGb', 'may grow, never shrink']],
    },
    {
      name: 'may keep the app to adopt',
      before: { adopt: { app: 'a' } },
      after: { adopt: { app: 'a' } },
      issues: [],
    },
    {
      name: 'may not change the app to adopt',
      before: { adopt: { app: 'a' } },
      after: { adopt: { app: 'b' } },
      issues: [['spec.adopt', 'cannot be changed']],
    },
    {
      name: 'may not begin to adopt an app',
      before: {},
      after: { adopt: { app: 'a' } },
      issues: [['spec.adopt', 'cannot be changed']],
    },
    {
      name: 'may not cease to adopt an app',
      before: { adopt: { app: 'a' } },
      after: {},
      issues: [['spec.adopt', 'cannot be changed']],
    },
    { name: 'may move while nothing was reported', before: {}, after: { region: 'ams' }, issues: [] },
    {
      name: 'may move while there is no volume',
      before: {},
      after: { region: 'ams' },
      status: beforeVolume,
      issues: [],
    },
    {
      name: 'may not move once there is a volume',
      before: {},
      after: { region: 'ams' },
      status: withVolume,
      issues: [['spec.region', 'cannot be changed once the volume exists']],
    },
    {
      name: 'is told of everything at once',
      before: { volumeGb: 5 },
      after: { owner: 'ctm_456', region: 'ams', adopt: { app: 'a' } },
      status: withVolume,
      issues: [
        ['spec.owner', 'cannot be changed'],
        ['spec.adopt', 'cannot be changed'],
        ['spec.region', 'cannot be changed once the volume exists'],
        ['spec.volumeGb', 'may grow, never shrink'],
      ],
    },
  ];

  it.each(CASES)('$name', ({ before, after, status, issues }) => {
    const found = transitionIssues(tenantOf(before, status), specSchema.parse({ ...MINIMAL_SPEC, ...after }));
    expect(found).toEqual(issues.map(([path, message]) => ({ path, message })));
  });
});
