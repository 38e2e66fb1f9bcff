/**
 * Writes that a door must judge as the API server does: good ones, bad ones, and those on the border. Put through both
 * doors by test/cluster/verdicts.test.ts. Each case begins with a tenant that is there already.
 */
import { API_VERSION, KIND } from '../../../src/tenant/names.ts';

export interface Case {
  /** Completes "both doors judge …". */
  readonly name: string;
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly query?: string;
  readonly subresource?: 'status';
  readonly contentType?: string;
  /** The text of the body, of the tenant that is there. */
  readonly body: (existing: Existing) => string;
  /** Why the two blame other fields, where they do. */
  readonly blamesOthers?: string;
}

export interface Existing {
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly uid: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What the tenant that is there is made of. */
export const EXISTING_SPEC = { owner: 'ctm_1', region: 'iad', volumeGb: 5, env: { A: '1' }, plan: 'basic' };

const MERGE = 'application/merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
const HEAD = { apiVersion: API_VERSION, kind: KIND };
const LEAST = { owner: 'ctm_1', region: 'iad' };
const EMOJI = '\u{1F680}';
const DIGEST = `sha256:${'ab'.repeat(32)}`;

function creation(name: string, object: object, rest: Partial<Case> = {}): Case {
  return { name: `the creation of ${name}`, method: 'POST', body: () => JSON.stringify(object), ...rest };
}

const withSpec = (name: string, spec: unknown, rest: Partial<Case> = {}): Case =>
  creation(name, { ...HEAD, metadata: { name: 'made' }, spec }, rest);
const withMetadata = (name: string, metadata: object, rest: Partial<Case> = {}): Case =>
  creation(name, { ...HEAD, metadata: { name: 'made', ...metadata }, spec: LEAST }, rest);

function patch(name: string, body: unknown, rest: Partial<Case> = {}): Case {
  return {
    name: `a patch with ${name}`,
    method: 'PATCH',
    contentType: MERGE,
    body: () => JSON.stringify(body),
    ...rest,
  };
}

const specs: Case[] = [
  withSpec('the least', LEAST),
  withSpec('everything', {
    ...LEAST,
    plan: 'pro',
    memoryMb: 2048,
    volumeGb: 500,
    image: `registry.fly.io/images:tag@${DIGEST}`,
    state: 'Suspended',
    restartedAt: '2026-01-01T00:00:00Z',
    retriedAt: '2026-01-01T00:00:00.123456789+05:30',
    credentialsRotatedAt: '2026-01-01T00:00:00-23:59',
    env: { LOG_LEVEL: 'debug', EMPTY: '' },
    hostnames: ['a.example.com', 'b.example.com'],
    adopt: { app: 'sp-old' },
    deletionPolicy: 'Orphan',
    acknowledgedVolumeLoss: 'vol_1',
  }),
  withSpec('no owner', { region: 'iad' }),
  withSpec('no region', { owner: 'ctm_1' }),
  withSpec('an empty owner', { ...LEAST, owner: '' }),
  withSpec('an owner of 128 emoji', { ...LEAST, owner: EMOJI.repeat(128) }),
  withSpec('an owner of 129 emoji', { ...LEAST, owner: EMOJI.repeat(129) }),
  withSpec('an owner of 129 letters', { ...LEAST, owner: 'o'.repeat(129) }),
  withSpec('an owner that is a number', { ...LEAST, owner: 7 }),
  withSpec('an empty plan', { ...LEAST, plan: '' }),
  withSpec('a region of four letters', { ...LEAST, region: 'iadx' }),
  withSpec('a region in capitals', { ...LEAST, region: 'IAD' }),
  withSpec('a memory that is not on offer', { ...LEAST, memoryMb: 300 }),
  withSpec('a memory in a string', { ...LEAST, memoryMb: '512' }),
  withSpec('a volume of nothing', { ...LEAST, volumeGb: 0 }),
  withSpec('a volume that is too large', { ...LEAST, volumeGb: 501 }),
  withSpec('half a gigabyte', { ...LEAST, volumeGb: 1.5 }),
  withSpec('an image without tag and digest', { ...LEAST, image: 'registry.fly.io/images' }),
  withSpec('an image of no registry', { ...LEAST, image: 'images:tag' }),
  withSpec('an image of a registry with a port', { ...LEAST, image: 'localhost:5000/images:tag' }),
  withSpec('an image with a short digest', { ...LEAST, image: 'registry.fly.io/images@sha256:abc' }),
  withSpec('an image that is too long', { ...LEAST, image: `r.io/${'i'.repeat(510)}:tag` }),
  withSpec('a state that there is not', { ...LEAST, state: 'running' }),
  withSpec('a time without a zone', { ...LEAST, restartedAt: '2026-01-01T00:00:00' }),
  withSpec('a time with a small t', { ...LEAST, restartedAt: '2026-01-01t00:00:00Z' }),
  withSpec('a day that there is not', { ...LEAST, restartedAt: '2026-02-30T00:00:00Z' }),
  withSpec('an hour that there is not', { ...LEAST, restartedAt: '2026-01-01T24:00:00Z' }),
  withSpec('an offset of a hundred hours', { ...LEAST, restartedAt: '2026-01-01T00:00:00+99:00' }),
  withSpec('an environment with a small name', { ...LEAST, env: { small: '1' } }, envFields()),
  withSpec('an environment that shadows', { ...LEAST, env: { PORT: '1' } }, envFields()),
  withSpec('an environment of the platform', { ...LEAST, env: { FLY_APP: '1' } }, envFields()),
  withSpec('an environment with a number', { ...LEAST, env: { A: 1 } }),
  withSpec('an environment with null', { ...LEAST, env: { A: null } }),
  withSpec('a name of 128 characters in it', { ...LEAST, env: { ['A'.repeat(128)]: '1' } }),
  withSpec('a name of 129 characters in it', { ...LEAST, env: { ['A'.repeat(129)]: '1' } }, envFields()),
  withSpec('a value of 4096 emoji in it', { ...LEAST, env: { A: EMOJI.repeat(4096) } }),
  withSpec('a value of 4097 emoji in it', { ...LEAST, env: { A: EMOJI.repeat(4097) } }),
  withSpec('101 entries in it', {
    ...LEAST,
    env: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`A_${index}`, '1'])),
  }),
  withSpec('an environment that is a list', { ...LEAST, env: [] }),
  withSpec('hostnames in capitals', { ...LEAST, hostnames: ['A.example.com'] }),
  withSpec('a hostname without a dot', { ...LEAST, hostnames: ['example'] }),
  withSpec('a hostname twice', { ...LEAST, hostnames: ['a.example.com', 'a.example.com'] }),
  withSpec('21 hostnames', {
    ...LEAST,
    hostnames: Array.from({ length: 21 }, (_, index) => `h${index}.example.com`),
  }),
  withSpec('a hostname that is null', { ...LEAST, hostnames: [null] }),
  withSpec('an app to adopt without a name', { ...LEAST, adopt: {} }),
  withSpec('an app to adopt in capitals', { ...LEAST, adopt: { app: 'Old' } }),
  withSpec('null for what may be left out', {
    ...LEAST,
    image: null,
    env: null,
    memoryMb: null,
    adopt: null,
  }),
  withSpec('null for what may not', { owner: null, region: 'iad' }),
  withSpec('a spec that is null', null),
  withSpec('a spec that is a list', []),
  withSpec('several mistakes', { region: 'x', memoryMb: 1, volumeGb: 0, hostnames: ['A'] }),
];

const metadata: Case[] = [
  withMetadata('labels and annotations', {
    labels: { 'example.com/a': 'b', constructor: 'x' },
    annotations: { note: 'anything at all' },
    finalizers: ['example.com/keep'],
  }),
  withMetadata('a name in capitals', { name: 'Made' }),
  withMetadata('a name with a dot', { name: 'a.b' }),
  withMetadata('a name of 63 letters', { name: 'n'.repeat(63) }),
  withMetadata('a name of 64 letters', { name: 'n'.repeat(64) }),
  withMetadata('no name', { name: undefined }),
  withMetadata('a name to be made', { name: undefined, generateName: 'made-' }),
  withMetadata('a name that is taken', { name: 'there' }),
  withMetadata('a label that is no label', { labels: { 'a b': 'c' } }),
  withMetadata('a label whose value is none', { labels: { a: '!' } }),
  withMetadata('a label of 64 characters', { labels: { a: 'b'.repeat(64) } }),
  withMetadata('labels in a list', { labels: ['a'] }),
  withMetadata('a label that is a number', { labels: { a: 1 } }),
  withMetadata('an annotation that is none', { annotations: { 'a b': 'c' } }),
  withMetadata('an annotation in capitals', { annotations: { 'Example.com/A': 'c' } }),
  withMetadata('large annotations', { annotations: { a: 'x'.repeat(256 * 1024 - 1) } }),
  withMetadata('annotations that are too large', { annotations: { a: 'x'.repeat(256 * 1024) } }),
  withMetadata('a finalizer that is none', { finalizers: ['a b/c'] }),
  withMetadata('the namespace of another path', { namespace: 'other' }),
  withMetadata('what the server owns', {
    uid: 'mine',
    generation: 7,
    creationTimestamp: null,
    managedFields: [],
    selfLink: '/x',
  }),
  creation('another kind', { ...HEAD, kind: 'Pod', metadata: { name: 'made' }, spec: LEAST }),
  creation('another version', { ...HEAD, apiVersion: 'v1', metadata: { name: 'made' }, spec: LEAST }),
  creation('no kind', { apiVersion: API_VERSION, metadata: { name: 'made' }, spec: LEAST }),
  creation('no spec', { ...HEAD, metadata: { name: 'made' } }),
  creation('no metadata', { ...HEAD, spec: LEAST }),
  creation('a list', [HEAD]),
  { name: 'the creation of nothing', method: 'POST', body: () => '' },
  { name: 'the creation of half an object', method: 'POST', body: () => '{"kind":' },
];

const strictness: Case[] = [
  '',
  '?fieldValidation=Ignore',
  '?fieldValidation=Warn',
  '?fieldValidation=Strict',
].flatMap((query) => [
  creation(
    `unknown fields, ${query}`,
    {
      ...HEAD,
      foo: 1,
      metadata: { name: 'made', nam: 1 },
      spec: { ...LEAST, imag: 1, adopt: { app: 'a', b: { c: 1 } }, env: { A: '1' } },
      status: { x: 1, conditions: [{ y: 1 }] },
    },
    { query },
  ),
  {
    name: `the creation of duplicate fields, ${query}`,
    method: 'POST',
    query,
    body: () =>
      `{"apiVersion":"${API_VERSION}","kind":"Tenant","metadata":{"name":"made","labels":{"a":"1","a":"2"}},` +
      '"spec":{"owner":"x","region":"iad","owner":"y","env":{"A":"1","A":"2"}}}',
  },
  patch('an unknown field, ' + query, { spec: { imag: 'x' } }, { query }),
  {
    name: `a patch with a duplicate field, ${query}`,
    method: 'PATCH',
    contentType: MERGE,
    query,
    body: () => '{"spec":{"plan":"x","plan":"y"}}',
  },
]);

const patches: Case[] = [
  patch('nothing', {}),
  patch('a label and an entry', { metadata: { labels: { a: 'b' } }, spec: { env: { A: null, B: '2' } } }),
  patch('a new owner', { spec: { owner: 'ctm_2' } }),
  patch('a smaller volume', { spec: { volumeGb: 4 } }),
  patch('an app to adopt', { spec: { adopt: { app: 'old' } } }),
  patch('another region before there is a volume', { spec: { region: 'fra' } }),
  patch('no spec', { spec: null }),
  patch('another name', { metadata: { name: 'else' } }),
  patch('another namespace', { metadata: { namespace: 'else' } }),
  patch('another kind', { kind: 'Pod' }),
  patch('another version of the API', { apiVersion: 'v1' }),
  patch('another uid', { metadata: { uid: '11111111-1111-4111-8111-111111111111' } }),
  patch('an old version', { metadata: { resourceVersion: '1' } }),
  patch('a status', { status: { phase: 'running' } }),
  patch('a list', []),
  patch('a sentence', 'please'),
  patch('a good operation', [{ op: 'replace', path: '/spec/plan', value: 'pro' }], {
    contentType: JSON_PATCH,
  }),
  patch('a test that holds', [{ op: 'test', path: '/spec/plan', value: 'basic' }], {
    contentType: JSON_PATCH,
  }),
  patch('a test that fails', [{ op: 'test', path: '/spec/plan', value: 'pro' }], {
    contentType: JSON_PATCH,
    blamesOthers: 'the API server does not say which operation failed',
  }),
  patch('a path that leads nowhere', [{ op: 'remove', path: '/spec/image' }], {
    contentType: JSON_PATCH,
    blamesOthers: 'the API server does not say which operation failed',
  }),
  patch('an operation that there is not', [{ op: 'frob', path: '/spec/plan' }], {
    contentType: JSON_PATCH,
    blamesOthers: 'the API server does not say which operation failed',
  }),
  patch('operations in no list', { op: 'remove', path: '/spec/plan' }, { contentType: JSON_PATCH }),
  patch('a strategic merge', {}, { contentType: 'application/strategic-merge-patch+json' }),
  patch('plain JSON', {}, { contentType: 'application/json' }),
];

const status: Case[] = [
  patch('a phase', { status: { phase: 'running' } }, { subresource: 'status' }),
  patch('a phase that there is not', { status: { phase: 'dreaming' } }, { subresource: 'status' }),
  patch('a spec instead of a status', { spec: { plan: 'pro' } }, { subresource: 'status' }),
  patch('half a condition', { status: { conditions: [{ type: 'Ready' }] } }, { subresource: 'status' }),
  patch('an unknown condition', { status: { conditions: [condition('Happy')] } }, { subresource: 'status' }),
  patch('a condition', { status: { conditions: [condition('Ready')] } }, { subresource: 'status' }),
  patch(
    'a condition twice',
    { status: { conditions: [condition('Ready'), condition('Ready')] } },
    {
      subresource: 'status',
    },
  ),
  patch(
    'a message of 1024 emoji',
    {
      status: { conditions: [{ ...condition('Ready'), message: EMOJI.repeat(1024) }] },
    },
    { subresource: 'status' },
  ),
  patch(
    'a message of 1025 emoji',
    {
      status: { conditions: [{ ...condition('Ready'), message: EMOJI.repeat(1025) }] },
    },
    { subresource: 'status' },
  ),
];

const replacement = (name: string, change: (existing: Existing) => object): Case => ({
  name: `a replacement with ${name}`,
  method: 'PUT',
  body: (existing) => JSON.stringify({ ...HEAD, ...change(existing) }),
});

const others: Case[] = [
  replacement('the same', (existing) => existing),
  replacement('no version', ({ metadata: { name }, spec }) => ({ metadata: { name }, spec })),
  replacement('an old version', ({ metadata, spec }) => ({
    metadata: { ...metadata, resourceVersion: '1' },
    spec,
  })),
  replacement('another name', ({ metadata, spec }) => ({ metadata: { ...metadata, name: 'else' }, spec })),
  replacement('no name', ({ metadata: { resourceVersion }, spec }) => ({
    metadata: { resourceVersion },
    spec,
  })),
  replacement('another uid', ({ metadata, spec }) => ({
    metadata: { ...metadata, uid: '11111111-1111-4111-8111-111111111111' },
    spec,
  })),
  deletion('nothing', undefined),
  deletion('a propagation policy', { propagationPolicy: 'Background' }),
  deletion('a propagation policy that there is not', { propagationPolicy: 'Sideways' }),
  deletion('another uid', { preconditions: { uid: '11111111-1111-4111-8111-111111111111' } }),
  deletion('a dry run', { dryRun: ['All'] }),
  deletion('a dry run that there is not', { dryRun: ['Some'] }),
  withSpec('a dry run that there is not', LEAST, { query: '?dryRun=Some' }),
  withSpec('a validation that there is not', LEAST, { query: '?fieldValidation=Some' }),
];

function deletion(name: string, options: object | undefined): Case {
  return {
    name: `a deletion with ${name}`,
    method: 'DELETE',
    body: () => (options === undefined ? '' : JSON.stringify(options)),
  };
}

function condition(type: string) {
  return {
    type,
    status: 'True',
    reason: 'Because',
    message: 'it is so',
    lastTransitionTime: '2026-01-01T00:00:00Z',
    observedGeneration: 1,
  };
}

function envFields(): Partial<Case> {
  return { blamesOthers: 'a rule in CEL blames the map, we blame the entry' };
}

export const CASES: readonly Case[] = [
  ...specs,
  ...metadata,
  ...strictness,
  ...patches,
  ...status,
  ...others,
];
