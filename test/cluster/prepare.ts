/**
 * Gets etcd and kube-apiserver ready before the tests run, so that no test waits for a compiler. Where they cannot be
 * had it says so; the suites that need them then say so, too.
 */
import { provideAssets } from './assets.ts';

try {
  await provideAssets((line) => process.stderr.write(`${line}\n`));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env['CI'] !== undefined) process.exitCode = 1;
}
