/** A client for tests: Fly's four addresses are one server, and time stands still but for short pauses. */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../../../src/clock.ts';
import { createFly, type FlyClient, type FlyOptions } from '../../../src/fly/client.ts';
import { FlyError, type FlyErrorDetails } from '../../../src/fly/errors.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

export const TOKEN = 'fm2_lJPECAAAAAAAA-very-secret';

export function createTestFly(url: string, options: Partial<FlyOptions> = {}): FlyClient {
  return createFly({
    apiUrl: url,
    registryUrl: url,
    logsUrl: url,
    prometheusUrl: `${url}/prometheus`,
    token: TOKEN,
    orgSlug: 'acme',
    clock: impatient(createFakeClock()),
    ...options,
  });
}

/** Pauses between two tries pass at once; time-outs come only when the test moves the clock. */
export function impatient(clock: FakeClock): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    random: () => clock.random(),
    setTimer(delayMs, callback) {
      if (delayMs > 500) return clock.setTimer(delayMs, callback);
      const immediate = setImmediate(callback);
      return () => clearImmediate(immediate);
    },
  };
}

/** A caller that makes many calls at once under one signal, on purpose. */
export function busyCaller(): AbortController {
  const caller = new AbortController();
  setMaxListeners(0, caller.signal);
  return caller;
}

/** The FlyError that the promise rejects with; anything else fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<FlyError> {
  const outcome = await promise.then(
    (value) => new Error(`expected a FlyError, got ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof FlyError) return outcome;
  throw outcome;
}

/** What of a failure the callers decide by. */
export function verdictOf(error: FlyError): Pick<FlyErrorDetails, 'kind' | 'reason' | 'ambiguous'> {
  const { kind, reason, ambiguous } = error.details;
  return { kind, reason, ambiguous };
}
