/** Is an unmodified kubectl at home with the daemon alone? The built daemon, the real kubectl, a simulated Fly. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKubectl, describeWithKubectl, type Kubectl } from '../support/kubectl.ts';
import { tellKubectlStories } from '../support/kubectl-script.ts';
import { seedImage } from '../support/operator.ts';
import { startDaemon, startSimulator, type Daemon, type Simulator } from '../support/processes.ts';

describeWithKubectl('kubectl against the daemon alone', () => {
  let stateDir: string;
  let simulator: Simulator;
  let daemon: Daemon;
  let kubectl: Kubectl;
  beforeAll(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'landlord-e2e-'));
    // Fly keeps a volume bound for up to a minute after its machine: a fifth of that is as good a proof.
    simulator = await startSimulator({ env: { SIMULATOR_LATENCY: '0.2' } });
    await seedImage(simulator.url, 'systemprompt-images', 'hello');
    daemon = await startDaemon({ stateDir, simulatorUrl: simulator.url });
    kubectl = await createKubectl(join(stateDir, 'kubeconfig'));
  }, 120_000);
  afterAll(async () => {
    await daemon.stop();
    await simulator.stop();
    await kubectl.remove();
    await rm(stateDir, { recursive: true, force: true });
  });

  it('finds a kubeconfig and a key that only their owner can read', async () => {
    for (const name of ['kubeconfig', 'tls.json'])
      expect([name, (await stat(join(stateDir, name))).mode & 0o777]).toEqual([name, 0o600]);
    expect(await readFile(join(stateDir, 'kubeconfig'), 'utf8')).not.toContain('insecure-skip-tls-verify');
  });

  tellKubectlStories(() => ({ kubectl, simulatorUrl: simulator.url }));

  it('says that server-side apply is not to be had, and what to do', async () => {
    const examples = new URL('../../examples/tenants.yaml', import.meta.url).pathname;
    const { code, stderr } = await kubectl.run(['apply', '--server-side', '-f', examples]);
    expect(code).toBe(1);
    expect(stderr).toContain('use kubectl apply without --server-side');
  });

  it('sees the namespaces that are in use, and cannot make one', async () => {
    expect(await kubectl.read('get', 'ns', '-o', 'name')).toBe('namespace/default\n');
    expect((await kubectl.run(['create', 'namespace', 'blue'])).stderr).toContain('(MethodNotAllowed)');
  });
});
