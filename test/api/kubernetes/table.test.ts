/** What does kubectl print? Cells, ages, and the shapes in which tables come. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { humanDuration } from '../../../src/api/kubernetes/human-duration.ts';
import { TENANT_COLUMNS } from '../../../src/api/kubernetes/table.ts';
import { PRINTER_COLUMNS } from '../../../src/tenant/columns.ts';
import { openStream } from '../client.ts';
import { openHarness, TENANTS, type Harness } from '../harness.ts';
import { condition, tenantWith } from '../tenants.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness();
});
afterAll(() => harness.close());

/** What kubectl sends. */
const TABLE =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';
/** The store's clock is the system's, the door's one stands still: ages are tested above. */
const AGE = expect.any(String) as string;
const get = (path: string, accept = TABLE) => harness.call('operator', 'GET', path, { headers: { accept } });

describe('a duration', () => {
  const S = 1000;
  const M = 60 * S;
  const H = 60 * M;
  const D = 24 * H;
  // On both sides of every step of HumanDuration.
  it.each([
    [-5 * S, '<invalid>'],
    [-1 * S, '0s'],
    [0, '0s'],
    [999, '0s'],
    [119 * S, '119s'],
    [120 * S, '2m'],
    [5 * M + 12 * S, '5m12s'],
    [10 * M - S, '9m59s'],
    [10 * M + 59 * S, '10m'],
    [3 * H - S, '179m'],
    [3 * H, '3h'],
    [3 * H + 20 * M, '3h20m'],
    [8 * H - S, '7h59m'],
    [8 * H + 59 * M, '8h'],
    [48 * H - S, '47h'],
    [2 * D, '2d'],
    [2 * D + 3 * H, '2d3h'],
    [8 * D - S, '7d23h'],
    [8 * D + 23 * H, '8d'],
    [730 * D - S, '729d'],
    [730 * D, '2y'],
    [3 * 365 * D + 120 * D, '3y120d'],
    [8 * 365 * D - S, '7y364d'],
    [8 * 365 * D + 300 * D, '8y'],
  ])('of %d ms reads %s', (durationMs, want) => {
    expect(humanDuration(durationMs)).toBe(want);
  });
});

describe('the columns', () => {
  it('read what their paths lead to', () => {
    const tenant = tenantWith({
      spec: { image: 'r.io/a:b', memoryMb: 1024 },
      status: { phase: 'running', conditions: [condition('Available', 'False'), condition('Ready', 'True')] },
    });
    for (const { jsonPath, read } of PRINTER_COLUMNS)
      expect([jsonPath, read(tenant)]).toEqual([jsonPath, follow(tenant, jsonPath)]);
  });

  it('are empty where there is nothing yet', () => {
    const now = Date.parse('2026-01-01T00:05:00Z');
    expect(TENANT_COLUMNS.map(({ read }) => read(tenantWith(), now))).toEqual([
      'shop',
      null,
      null,
      null,
      null,
      512,
      'iad',
      '5m',
      null,
    ]);
  });
});

/** As much of JSONPath as printer columns use. */
function follow(object: unknown, path: string): unknown {
  return [...path.matchAll(/\.(\w+)|\[\?\(@\.(\w+)=="(\w+)"\)\]/g)].reduce(
    (at, [, field, key = '', value]) => {
      if (field !== undefined) return (at as Record<string, unknown> | undefined)?.[field];
      return (at as Record<string, unknown>[] | undefined)?.find((item) => item[key] === value);
    },
    object,
  );
}

describe('a table', () => {
  beforeAll(async () => {
    await harness.seed('one', { spec: { memoryMb: 256 } });
  });

  it('is what a list is for whoever asks for it', async () => {
    const { status, body } = await get(TENANTS);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { resourceVersion: expect.stringMatching(/^[0-9]+$/) as string },
      columnDefinitions: TENANT_COLUMNS.map(({ name, priority }) => ({ name, priority })),
      rows: [
        {
          cells: ['one', null, null, null, null, 256, 'iad', AGE, null],
          object: { kind: 'PartialObjectMetadata', metadata: { name: 'one' } },
        },
      ],
    });
  });

  it('is what one tenant is, and its status', async () => {
    for (const path of [`${TENANTS}/one`, `${TENANTS}/one/status`])
      expect((await get(path)).body).toMatchObject({
        kind: 'Table',
        rows: [{ object: { metadata: { name: 'one' } } }],
      });
  });

  it.each([
    ['None', null],
    ['Metadata', { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' }],
    ['Object', { kind: 'Tenant', spec: { memoryMb: 256 } }],
  ])('carries of each object: %s', async (include, want) => {
    const { body } = await get(`${TENANTS}?includeObject=${include}`);
    const [row] = (body as unknown as { rows: { object: unknown }[] }).rows;
    if (want === null) expect(row?.object).toBeNull();
    else expect(row?.object).toMatchObject(want);
  });

  it('is not sent to whoever asks for something else', async () => {
    for (const accept of ['application/json', '*/*', 'application/json;q=0.9, */*'])
      expect((await get(TENANTS, accept)).body.kind).toBe('TenantList');
    expect((await get(TENANTS, 'application/vnd.kubernetes.protobuf,application/json')).body.kind).toBe(
      'TenantList',
    );
  });

  it('that cannot be made is refused before anything is written', async () => {
    const answer = await harness.call('operator', 'PATCH', `${TENANTS}/one`, {
      body: { spec: { memoryMb: 1024 } },
      headers: { accept: 'text/html', 'content-type': 'application/merge-patch+json' },
    });
    expect(answer).toMatchObject({ status: 406, body: { reason: 'NotAcceptable' } });
    expect((await get(`${TENANTS}/one`, 'application/json')).body.spec.memoryMb).toBe(256);
    expect((await get(`${TENANTS}?includeObject=Everything`)).status).toBe(400);
  });

  it('comes with every event of a watch, and names its columns once', async () => {
    const client = await openStream(harness, {
      caller: 'operator',
      path: `${TENANTS}?watch=1&allowWatchBookmarks=true`,
      separator: '\n',
      headers: { accept: TABLE },
    });
    const next = async () => JSON.parse((await client.next()) ?? '{}') as unknown;
    expect(await next()).toMatchObject({
      type: 'ADDED',
      object: {
        kind: 'Table',
        columnDefinitions: [{ name: 'Name' }, {}, {}, {}, {}, {}, {}, {}, {}],
        rows: [{}],
      },
    });
    expect(await next()).toMatchObject({
      type: 'BOOKMARK',
      object: {
        kind: 'Table',
        columnDefinitions: null,
        rows: [{ object: { kind: 'PartialObjectMetadata' } }],
      },
    });
    const tenant = await harness.store.get({ namespace: 'default', name: 'one' });
    await harness.report(tenant!, { phase: 'running' });
    const changed = await next();
    expect(changed).toMatchObject({
      type: 'MODIFIED',
      object: {
        columnDefinitions: null,
        rows: [{ cells: ['one', null, null, 'running', null, 256, 'iad', AGE, null] }],
      },
    });
    client.close();
  });
});
