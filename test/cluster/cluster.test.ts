import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { isForbidden, isWrite } from './audit-log.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { describeOnCluster } from './on-cluster.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const listSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

await describeOnCluster('the test cluster', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster.stop());

  const create = (name: string) =>
    cluster.request({ method: 'POST', path: CONFIG_MAPS, body: { metadata: { name } } });

  it('answers kubectl as the version that go.mod names', async () => {
    const args = ['--kubeconfig', cluster.adminKubeconfig, 'version', '--output=json'];
    const { stdout } = await promisify(execFile)('kubectl', args);
    const goMod = await readFile(new URL('go.mod', import.meta.url), 'utf8');
    const version = z
      .object({ serverVersion: z.object({ gitVersion: z.string() }) })
      .parse(JSON.parse(stdout));
    expect(version.serverVersion.gitVersion).toBe(/k8s\.io\/kubernetes (v\S+)/.exec(goMod)?.[1]);
  });

  it('refuses whoever has no right, and writes it down', async () => {
    const account = { metadata: { name: 'nobody' } };
    const accounts = '/api/v1/namespaces/default/serviceaccounts';
    await cluster.request({ method: 'POST', path: accounts, body: account });
    const tokenRequest = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    const minted = await cluster.request({
      method: 'POST',
      path: `${accounts}/nobody/token`,
      body: tokenRequest,
    });
    const { token } = z.object({ status: z.object({ token: z.string() }) }).parse(minted.body).status;
    expect((await cluster.request({ path: CONFIG_MAPS, token })).status).toBe(403);
    const refused = (await cluster.auditLog()).filter(isForbidden);
    expect(refused).toContainEqual(
      expect.objectContaining({
        verb: 'list',
        user: { username: 'system:serviceaccount:default:nobody' },
        objectRef: expect.objectContaining({ resource: 'configmaps' }) as unknown,
      }),
    );
  });

  it('forgets history when it is compacted and restarted, and keeps what it holds', async () => {
    const before = listSchema.parse((await cluster.request({ path: CONFIG_MAPS })).body);
    await create('a');
    await create('b');
    await cluster.compact();
    await cluster.restartApiServer();
    const watch = `${CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion=${before.metadata.resourceVersion}`;
    const answer = await cluster.request({ path: watch });
    expect(JSON.stringify(answer)).toContain('Expired');
    expect((await cluster.request({ path: `${CONFIG_MAPS}/b` })).status).toBe(200);
    expect((await cluster.auditLog()).filter(isWrite).map(({ objectRef }) => objectRef.name)).toEqual(
      expect.arrayContaining(['a', 'b']),
    );
  });
});
