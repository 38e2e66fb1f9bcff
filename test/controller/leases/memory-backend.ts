/**
 * A place for leases in memory, and the bad days of the way to it: it may be out of reach, lose an answer, or let a
 * write land long after everybody has stopped waiting for it.
 */
import type { LeaseBackend, LeaseRecord } from '../../../src/controller/leases/backend.ts';
import type { FakeClock } from '../../support/fake-clock.ts';

/** What happens to a call: all is well; it never arrives; it arrives at once or later and its answer is lost. */
export type Fate =
  | { readonly kind: 'answered'; readonly delayMs: number }
  | { readonly kind: 'refused' }
  | { readonly kind: 'lost'; readonly landsAfterMs: number };

export interface MemoryLeases {
  readonly records: ReadonlyMap<string, LeaseRecord>;
  /** Writes that took effect. */
  readonly writes: () => number;
  /** The way of one replica to the place; `fateOf` is asked for each call. */
  backend(fateOf: () => Fate): LeaseBackend;
}

export function createMemoryLeases(clock: FakeClock): MemoryLeases {
  const records = new Map<string, LeaseRecord>();
  let versions = 0;
  let writes = 0;

  function write<T>(matches: boolean, effect: () => T): T | undefined {
    if (!matches) return undefined;
    writes += 1;
    versions += 1;
    return effect();
  }

  return {
    records,
    writes: () => writes,
    backend(fateOf) {
      const later = (ms: number, run: () => void): void => void clock.setTimer(ms, run);

      /** The effect takes place halfway between question and answer. */
      function carry<T>(effect: () => T): Promise<T> {
        const fate = fateOf();
        return new Promise((resolve, reject) => {
          switch (fate.kind) {
            case 'refused':
              reject(new Error('out of reach'));
              return;
            case 'lost':
              later(fate.landsAfterMs, effect);
              return;
            case 'answered':
              later(fate.delayMs / 2, () => {
                const result = effect();
                later(fate.delayMs / 2, () => resolve(result));
              });
              return;
            default:
              fate satisfies never;
          }
        });
      }

      return {
        list: () => carry(() => [...records.values()]),
        put: ({ name, holder, transitions, expected }) =>
          carry(() =>
            write(records.get(name)?.version === expected, () => {
              const record = { name, holder, transitions, version: String(versions) };
              records.set(name, record);
              return record;
            }),
          ),
        remove: ({ name, version }) =>
          carry(() => write(records.get(name)?.version === version, () => records.delete(name)) ?? false),
      };
    },
  };
}
