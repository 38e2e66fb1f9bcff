/**
 * Gets the real servers ready that npm does not have, before the tests run, so that no test waits for a compiler. Where
 * one cannot be had it says so; the suites that need it then say so, too.
 */
import { assets } from '../cluster/assets.ts';
import { hasContainers } from '../cluster/k3s.ts';
import { provideRegistry } from '../registry/program.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Fails on CI, where nothing may be left out. */
async function prepare(provide: () => Promise<unknown>, otherwise?: () => Promise<boolean>): Promise<void> {
  try {
    await provide();
  } catch (error) {
    if ((await otherwise?.()) === true) return;
    say(error instanceof Error ? error.message : String(error));
    if (process.env['CI'] !== undefined) process.exitCode = 1;
  }
}

await prepare(() => assets.provide(say), hasContainers);
await prepare(() => provideRegistry(say));
