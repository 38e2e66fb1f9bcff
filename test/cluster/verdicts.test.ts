/** Do both doors judge alike? The same writes, to a real API server with our CRD and to the daemon's own door. */
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CASES, EXISTING_SPEC, type Case, type Existing } from '../api/kubernetes/verdicts.ts';
import { openHarness, TENANTS, type Harness } from '../api/harness.ts';
import { eventually } from '../support/eventually.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { describeOnCluster } from './on-cluster.ts';

interface Door {
  send(method: string, path: string, options?: { type?: string; body?: string }): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly warnings: readonly string[];
  readonly body: {
    readonly reason?: string;
    readonly message?: string;
    readonly metadata?: Existing['metadata'];
    readonly spec?: Existing['spec'];
    readonly details?: { readonly causes?: readonly { readonly field: string }[] };
  };
}

interface Verdict {
  readonly accepted: boolean;
  readonly code: number;
  readonly reason: string | undefined;
  readonly warnings: readonly string[];
  /** What is said of fields that nobody knows; other sentences are each door's own. */
  readonly strict: string | undefined;
  readonly fields: readonly string[];
}

let cluster: Cluster;
let harness: Harness;
let doors: { readonly real: Door; readonly own: Door };
const agents: Agent[] = [];

function openDoor(options: { url: string; token: string; ca?: string }): Door {
  const agent = new Agent(options.ca === undefined ? {} : { connect: { ca: options.ca } });
  agents.push(agent);
  return {
    async send(method, path, { type = 'application/json', body } = {}) {
      const answer = await request(`${options.url}${path}`, {
        method: method as 'GET',
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${options.token}`,
          accept: 'application/json',
          ...(body !== undefined && { 'content-type': type }),
        },
        ...(body !== undefined && { body }),
      });
      const text = await answer.body.text();
      const warnings = [answer.headers['warning'] ?? []].flat();
      return {
        status: answer.statusCode,
        warnings,
        // Before it knows a kind, the API server answers in plain words.
        body: (text.startsWith('{') ? JSON.parse(text) : {}) as Answer['body'],
      };
    },
  };
}

const verdictOf = ({ status, warnings, body }: Answer): Verdict => ({
  accepted: status < 300,
  code: status,
  reason: body.reason,
  warnings,
  strict: /strict decoding error: .*/.exec(body.message ?? '')?.[0],
  // The API server has two more, for what it did not look at any further.
  fields: [...new Set((body.details?.causes ?? []).map(({ field }) => field))]
    .filter((field) => field !== '<nil>')
    .sort(),
});

/** One case in a place of its own. */
async function judge(
  door: Door,
  { method, query = '', subresource, contentType, body }: Case,
): Promise<Verdict> {
  const name = 'there';
  const manifest = {
    apiVersion: 'cloud.systemprompt.io/v1alpha1',
    kind: 'Tenant',
    metadata: { name },
    spec: EXISTING_SPEC,
  };
  await door.send('DELETE', `${TENANTS}/made`);
  await door.send('DELETE', `${TENANTS}/${name}`);
  const there = await door.send('POST', TENANTS, { body: JSON.stringify(manifest) });
  expect(there.status).toBe(201);
  const { metadata, spec } = there.body as Existing;
  const path = method === 'POST' ? TENANTS : `${TENANTS}/${name}${subresource ? `/${subresource}` : ''}`;
  const text = body({ metadata, spec });
  return verdictOf(
    await door.send(method, `${path}${query}`, {
      ...(contentType !== undefined && { type: contentType }),
      ...((method !== 'DELETE' || text !== '') && { body: text }),
    }),
  );
}

await describeOnCluster('our door and the API server judge alike', () => {
  beforeAll(async () => {
    [cluster, harness] = await Promise.all([startCluster(), openHarness()]);
    const definition = parse(
      await readFile(new URL('../../crds/tenants.yaml', import.meta.url), 'utf8'),
    ) as object;
    await cluster.request({
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      body: definition,
    });
    doors = {
      real: openDoor({ url: cluster.url, token: cluster.adminToken, ca: cluster.certificateAuthority }),
      own: openDoor({ url: harness.url, token: await harness.token('operator') }),
    };
    await eventually(async () => (await doors.real.send('GET', TENANTS)).status === 200, {
      what: 'the API server to serve tenants',
    });
  });
  afterAll(async () => {
    await Promise.all(agents.map((agent) => agent.close()));
    await Promise.all([cluster.stop(), harness.close()]);
  });

  it.each(CASES.map((each) => [each.name, each] as const))('on %s', async (_name, each) => {
    const [real, own] = [await judge(doors.real, each), await judge(doors.own, each)];
    const ours = each.blamesOthers === undefined ? own : { ...own, fields: real.fields };
    expect(ours).toEqual(real);
    if (each.blamesOthers !== undefined) expect(own.fields).not.toEqual(real.fields);
  });
});
