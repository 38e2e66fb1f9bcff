/**
 * What becomes of a suite that needs a Kubernetes API server where none can be had? It is skipped under a name that
 * says so, and on CI it fails: nothing that was not run may look as if it had passed.
 */
import { describe } from 'vitest';
import { findAssets, MISSING_ASSETS } from './assets.ts';
import { hasContainers } from './k3s.ts';

/** `describe` for suites that call `startCluster`. */
export async function describeOnCluster(name: string, suite: () => void): Promise<void> {
  const missing = (await findAssets()) === undefined && !(await hasContainers());
  if (missing && process.env['CI'] === undefined)
    describe.skip(`${name} (NOT RUN: ${MISSING_ASSETS})`, suite);
  else describe(name, suite);
}
