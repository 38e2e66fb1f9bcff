/**
 * Which name has the tenant with this uid? The API server finds objects by name only. A name never changes and a uid
 * never comes back, so whatever was once learned stays true until the object is gone; only a uid that was never seen
 * costs a list, of metadata alone, and however many ask for however many unknown ones, there is at most one a second.
 */
import { LRUCache } from 'lru-cache';
import { sleep, type Clock } from '../../clock.ts';
import type { TenantName } from '../store.ts';

export interface UidIndex {
  learn(tenant: { readonly metadata: TenantName & { readonly uid: string } }): void;
  forget(uid: string): void;
  /** Undefined when no tenant had this uid at some time after the question. Throws what the listing throws. */
  find(uid: string): Promise<TenantName | undefined>;
}

/** Some hundred bytes each. More tenants than that are listed now and then. */
const MOST_NAMES = 100_000;
const LISTING_INTERVAL_MS = 1_000;

export function createUidIndex(options: {
  /** Learns every tenant that there is. */
  readonly list: (learn: UidIndex['learn']) => Promise<void>;
  readonly clock: Clock;
  /** Ends the waits. */
  readonly stopped: AbortSignal;
}): UidIndex {
  const { clock, stopped } = options;
  const names = new LRUCache<string, TenantName>({ max: MOST_NAMES });
  let latest = { at: Number.NEGATIVE_INFINITY, done: Promise.resolve() };
  let next: Promise<void> | undefined;

  function learn({ metadata: { uid, namespace, name } }: Parameters<UidIndex['learn']>[0]): void {
    names.set(uid, { namespace, name });
  }

  /** One that begins later than now: one that is under way may have passed the tenant's place already. */
  async function listNext(): Promise<void> {
    // Whatever came of it is the business of those who waited for it.
    await latest.done.catch(() => undefined);
    const waitMs = latest.at + LISTING_INTERVAL_MS - clock.monotonic();
    if (waitMs > 0) await sleep(clock, waitMs, stopped);
    next = undefined;
    stopped.throwIfAborted();
    latest = { at: clock.monotonic(), done: options.list(learn) };
    await latest.done;
  }

  return {
    learn,
    forget: (uid) => void names.delete(uid),
    async find(uid) {
      const known = names.get(uid);
      if (known !== undefined) return known;
      next ??= listNext();
      await next;
      return names.get(uid);
    },
  };
}
