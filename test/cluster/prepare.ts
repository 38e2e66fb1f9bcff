/**
 * Gets etcd and kube-apiserver ready before the tests run, so that no test waits for a compiler. Where they cannot be
 * had it says so; the suites that need them then say so, too.
 */
import { provideAssets } from './assets.ts';
import { hasContainers } from './k3s.ts';

try {
  await provideAssets((line) => process.stderr.write(`${line}\n`));
} catch (error) {
  if (await hasContainers())
    process.stderr.write('the Kubernetes API server of the tests runs in a container\n');
  else {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env['CI'] !== undefined) process.exitCode = 1;
  }
}
