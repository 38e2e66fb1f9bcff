import { CONDITION_TYPES } from '../../src/tenant/conditions.ts';
import { describe, expect, it } from 'vitest';
import { metadataSchema, specSchema, statusSchema, tenantSchema } from '../../src/tenant/schema.ts';
import { validate, validateSpec } from '../../src/tenant/validation.ts';
import { DIGEST, MINIMAL_SPEC, tenantOf } from './documents.ts';

/** Every accepted document says in its name what it shows. */
const ACCEPTED: { name: string; spec: object }[] = [
  { name: 'the least that can be said', spec: {} },
  { name: 'every size of memory', spec: { memoryMb: 2048 } },
  { name: 'the largest volume', spec: { volumeGb: 500 } },
  { name: 'an image by tag', spec: { image: 'registry.fly.io/app:v1' } },
  { name: 'an image by digest', spec: { image: `registry.fly.io/app@${DIGEST}` } },
  { name: 'an image by tag and digest', spec: { image: `registry.fly.io/app:v1@${DIGEST}` } },
  { name: 'a suspended tenant', spec: { state: 'Suspended' } },
  { name: 'a time in UTC', spec: { restartedAt: '2026-01-01T00:00:00Z' } },
  { name: 'a time with an offset and a fraction', spec: { retriedAt: '2026-01-01T00:00:00.5+05:30' } },
  { name: 'a leap day', spec: { credentialsRotatedAt: '2028-02-29T00:00:00Z' } },
  { name: 'an environment', spec: { env: { LOG_LEVEL: 'debug', _X9: '' } } },
  { name: 'custom hostnames', spec: { hostnames: ['example.com', 'a.b-c.example.com'] } },
  { name: 'an app to adopt', spec: { adopt: { app: 'sp-old' } } },
  { name: 'an orphan to be', spec: { deletionPolicy: 'Orphan' } },
  { name: 'the loss of a volume, acknowledged', spec: { acknowledgedVolumeLoss: 'vol_123' } },
];

const REFUSED: { name: string; spec: object; issues: [path: string, message: RegExp][] }[] = [
  { name: 'no owner', spec: { owner: undefined }, issues: [['spec.owner', /expected string/]] },
  { name: 'an empty owner', spec: { owner: '' }, issues: [['spec.owner', /Too small/]] },
  { name: 'no region', spec: { region: undefined }, issues: [['spec.region', /expected string/]] },
  { name: 'a region that is no code', spec: { region: 'iad1' }, issues: [['spec.region', /three letters/]] },
  {
    name: 'memory that nobody offers',
    spec: { memoryMb: 300 },
    issues: [['spec.memoryMb', /256\|512\|1024\|2048/]],
  },
  { name: 'memory as text', spec: { memoryMb: '512' }, issues: [['spec.memoryMb', /256\|512\|1024\|2048/]] },
  { name: 'no volume at all', spec: { volumeGb: 0 }, issues: [['spec.volumeGb', /Too small/]] },
  { name: 'a volume beyond what Fly has', spec: { volumeGb: 501 }, issues: [['spec.volumeGb', /Too big/]] },
  { name: 'a part of a gigabyte', spec: { volumeGb: 1.5 }, issues: [['spec.volumeGb', /int/]] },
  {
    name: 'an image that is no reference',
    spec: { image: 'Registry/App:v1' },
    issues: [['spec.image', /registry\/repository:tag/]],
  },
  {
    name: 'an image without tag and digest',
    spec: { image: 'registry.fly.io/app' },
    issues: [['spec.image', /a tag or a digest/]],
  },
  {
    name: 'a state that is none',
    spec: { state: 'Stopped' },
    issues: [['spec.state', /"Running"\|"Suspended"/]],
  },
  {
    name: 'a day that never was',
    spec: { restartedAt: '2027-02-29T00:00:00Z' },
    issues: [['spec.restartedAt', /datetime/]],
  },
  {
    name: 'a time without a zone',
    spec: { restartedAt: '2026-01-01T00:00:00' },
    issues: [['spec.restartedAt', /datetime/]],
  },
  {
    name: 'a hostname without a dot',
    spec: { hostnames: ['ok.example.com', 'localhost'] },
    issues: [['spec.hostnames[1]', /DNS name/]],
  },
  {
    name: 'a hostname in capitals',
    spec: { hostnames: ['Example.com'] },
    issues: [['spec.hostnames[0]', /DNS name/]],
  },
  {
    name: 'an app to adopt that has no name',
    spec: { adopt: {} },
    issues: [['spec.adopt.app', /expected string/]],
  },
  {
    name: 'a field that nobody knows',
    spec: { colour: 'red' },
    issues: [['spec.colour', /not a known field/]],
  },
  {
    name: 'a field that nobody knows, further down',
    spec: { adopt: { app: 'a', colour: 'red' } },
    issues: [['spec.adopt.colour', /not a known field/]],
  },
  {
    name: 'several things at once',
    spec: { memoryMb: 1, volumeGb: 0, colour: 'red' },
    issues: [
      ['spec.memoryMb', /256/],
      ['spec.volumeGb', /Too small/],
      ['spec.colour', /not a known field/],
    ],
  },
];

describe('the schema of a spec', () => {
  it('fills in what was not said', () => {
    expect(specSchema.parse(MINIMAL_SPEC)).toEqual({
      owner: 'ctm_123',
      plan: 'free',
      region: 'iad',
      memoryMb: 512,
      volumeGb: 1,
      state: 'Running',
      env: {},
      hostnames: [],
      deletionPolicy: 'Delete',
    });
  });

  it.each(ACCEPTED)('accepts $name', ({ spec }) => {
    const document = { ...MINIMAL_SPEC, ...spec };
    const result = validateSpec(document);
    expect(result).toMatchObject({ ok: true, value: document });
  });

  it.each(REFUSED)('refuses $name, and says where', ({ spec, issues }) => {
    const result = validateSpec({ ...MINIMAL_SPEC, ...spec });
    expect(result).toEqual({
      ok: false,
      issues: issues.map(([path, message]) => ({ path, message: expect.stringMatching(message) as string })),
    });
  });

  it.each([null, undefined, 'spec', [], 7])('refuses what is no object: %j', (document) => {
    expect(validateSpec(document)).toMatchObject({ ok: false, issues: [{ path: 'spec' }] });
  });
});

describe('the schema of a whole tenant', () => {
  it('accepts one as it is stored', () => {
    const tenant = tenantOf({ image: 'registry.fly.io/app:v1' }, { observedGeneration: 1, phase: 'running' });
    expect(tenantSchema.parse(tenant)).toEqual(tenant);
  });

  it('drops what it does not know of metadata and status, which belong to the store and to newer versions', () => {
    const parsed = tenantSchema.parse({
      ...tenantOf(),
      metadata: { ...tenantOf().metadata, managedFields: [] },
      status: { phase: 'running', colour: 'red' },
    });
    expect(parsed.metadata).not.toHaveProperty('managedFields');
    expect(parsed.status).toEqual({ phase: 'running' });
  });

  it.each([
    { name: 'another kind', change: { kind: 'Pod' }, path: 'kind' },
    { name: 'another version', change: { apiVersion: 'v1' }, path: 'apiVersion' },
    { name: 'a status that is no status', change: { status: { phase: 'happy' } }, path: 'status.phase' },
  ])('refuses $name', ({ change, path }) => {
    expect(validate(tenantSchema, { ...tenantOf(), ...change })).toMatchObject({
      ok: false,
      issues: [{ path }],
    });
  });

  it.each([
    { name: 'a', ok: true },
    { name: 'my-project-2', ok: true },
    { name: 'a'.repeat(63), ok: true },
    { name: 'a'.repeat(64), ok: false },
    { name: 'My-project', ok: false },
    { name: '-a', ok: false },
    { name: 'a-', ok: false },
    { name: 'a.b', ok: false },
    { name: '', ok: false },
  ])('takes for a name only a DNS label: "$name" is one: $ok', ({ name, ok }) => {
    expect(metadataSchema.shape.name.safeParse(name).success).toBe(ok);
  });
});

describe('the length of a text', () => {
  it('is counted in characters, as Kubernetes counts it', () => {
    const owner = (length: number) =>
      specSchema.safeParse({ ...MINIMAL_SPEC, owner: '\u{1F680}'.repeat(length) });
    expect([owner(128).success, owner(129).success]).toEqual([true, false]);
    expect(owner(129).error?.issues).toMatchObject([{ message: 'must not be longer than 128 characters' }]);
  });
});

describe('the schema of a status', () => {
  it('bounds every list, so that no status outgrows the store', () => {
    const condition = {
      type: 'Ready',
      status: 'True',
      reason: 'Converged',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
      observedGeneration: 1,
    };
    const all = CONDITION_TYPES.map((type) => ({ ...condition, type }));
    expect(statusSchema.safeParse({ conditions: all }).success).toBe(true);
    expect(statusSchema.safeParse({ conditions: [...all, condition] }).error?.issues).toMatchObject([
      { path: ['conditions', all.length], message: 'repeats the type Ready' },
    ]);
    expect(statusSchema.safeParse({ addresses: Array(33).fill('::1') }).success).toBe(false);
  });

  it.each(['converged', 'Not Ready', '', 'A'.repeat(65)])(
    'refuses a reason that is no CamelCase word: "%s"',
    (reason) => {
      const condition = {
        type: 'Ready',
        status: 'True',
        reason,
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
        observedGeneration: 1,
      };
      expect(validate(statusSchema, { conditions: [condition] }, 'status')).toMatchObject({
        ok: false,
        issues: [{ path: 'status.conditions[0].reason' }],
      });
    },
  );
});
