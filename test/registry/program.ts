/**
 * The registry of the tests is the reference implementation (CNCF distribution): the one on PATH, which Debian packs as
 * `docker-registry`, or the one that is built as go.mod beside this file pins it.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createGoPrograms } from '../support/go-programs.ts';

/** What to tell a person whose machine has none. */
export const MISSING_REGISTRY =
  'cannot start a registry: install it (Debian: apt-get install docker-registry), or install Go and run `npm test`, which builds it';

const built = createGoPrograms({
  moduleDir: import.meta.dirname,
  cache: 'landlord-test-registry',
  packages: { registry: 'github.com/distribution/distribution/v3/cmd/registry' },
  missing: MISSING_REGISTRY,
});

/** Path of the program, without building anything. */
export async function findRegistry(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'docker-registry');
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return (await built.find())?.registry;
}

/** Builds it if need be. Throws an Error that says what to do when it cannot be had. */
export async function provideRegistry(say: (line: string) => void): Promise<void> {
  if ((await findRegistry()) === undefined) await built.provide(say);
}
