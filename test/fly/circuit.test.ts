import { isBrokenCircuitError } from 'cockatiel';
import { describe, expect, test } from 'vitest';
import { createCircuit, type Circuit, type CircuitStateName } from '../../src/fly/circuit.ts';
import { HttpFailure, type HttpAnswer, type HttpFailureReason } from '../../src/fly/http.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

interface World {
  readonly clock: FakeClock;
  readonly circuit: Circuit;
  readonly states: CircuitStateName[];
}

function setUp(): World {
  const clock = createFakeClock();
  const states: CircuitStateName[] = [];
  return {
    clock,
    states,
    circuit: createCircuit({ clock, failures: 3, onState: (state) => states.push(state) }),
  };
}

const answer = (status: number): Promise<HttpAnswer> =>
  Promise.resolve({ status, body: '', header: () => undefined });
const failure = (reason: HttpFailureReason): Promise<HttpAnswer> =>
  Promise.reject(new HttpFailure(reason, { sent: true, message: reason }));

/** What came of one call: its status, the reason of its failure, or `refused`. */
function outcome(circuit: Circuit, exchange: () => Promise<HttpAnswer>, mayProbe = true): Promise<string> {
  return circuit.run(exchange, { mayProbe }).then(
    ({ status }) => String(status),
    (error: unknown) =>
      isBrokenCircuitError(error) ? 'refused' : error instanceof HttpFailure ? error.reason : 'unexpected',
  );
}

async function fail(circuit: Circuit, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await outcome(circuit, () => failure('disconnected'));
}

describe('the circuit of a host', () => {
  test.each([
    { name: 'broken connections', exchange: () => failure('disconnected') },
    { name: 'silence', exchange: () => failure('timedOut') },
    { name: 'failures of the server', exchange: () => answer(503) },
  ])('opens after three times in a row: $name', async ({ exchange }) => {
    const { circuit } = setUp();
    for (let time = 0; time < 3; time += 1) expect(await outcome(circuit, exchange)).not.toBe('refused');
    expect(circuit.state).toBe('open');
    expect(await outcome(circuit, () => answer(200))).toBe('refused');
  });

  test.each([400, 401, 404, 408, 409, 412, 422, 429])('stays closed for any number of %d', async (status) => {
    const { circuit } = setUp();
    for (let time = 0; time < 10; time += 1) await outcome(circuit, () => answer(status));
    expect(circuit.state).toBe('closed');
  });

  test('counts anew after any answer, a refusal too, for it proves that the host is well', async () => {
    const { circuit } = setUp();
    await fail(circuit, 2);
    await outcome(circuit, () => answer(404));
    await fail(circuit, 2);
    expect(circuit.state).toBe('closed');
  });

  test('does not blame the host for callers who stop waiting', async () => {
    const { circuit } = setUp();
    for (let time = 0; time < 10; time += 1) await outcome(circuit, () => failure('aborted'));
    expect(circuit.state).toBe('closed');
  });

  test('tries one call after five seconds by the injected clock, and closes when it is answered', async () => {
    const { circuit, clock, states } = setUp();
    await fail(circuit, 3);
    await clock.advance(4_999);
    expect(await outcome(circuit, () => answer(200))).toBe('refused');
    await clock.advance(1);
    expect(await outcome(circuit, () => answer(404))).toBe('404');
    expect(states).toEqual(['open', 'halfOpen', 'closed']);
  });

  test('refuses the others while one call tries, instead of making them wait for it', async () => {
    const { circuit, clock } = setUp();
    await fail(circuit, 3);
    await clock.advance(5_000);
    let finish: (answered: HttpAnswer) => void = () => undefined;
    const first = outcome(circuit, () => new Promise((resolve) => (finish = resolve)));
    expect(await outcome(circuit, () => answer(200))).toBe('refused');
    finish(await answer(200));
    expect(await first).toBe('200');
    expect(await outcome(circuit, () => answer(200))).toBe('200');
  });

  test('stays open longer each time that the try fails, up to half a minute', async () => {
    const { circuit, clock } = setUp();
    await fail(circuit, 3);
    for (const openMs of [5_000, 10_000, 20_000, 30_000, 30_000]) {
      await clock.advance(openMs - 1);
      expect(await outcome(circuit, () => answer(200))).toBe('refused');
      await clock.advance(1);
      expect(await outcome(circuit, () => answer(500))).toBe('500');
    }
    expect(circuit.state).toBe('open');
  });

  test.each(['aborted', 'forbidden'] as const)(
    'does not take a try for health that ended as %s, before it could prove anything',
    async (reason) => {
      const { circuit, clock } = setUp();
      await fail(circuit, 3);
      await clock.advance(5_000);
      expect(await outcome(circuit, () => failure(reason))).toBe(reason);
      expect(circuit.state).toBe('open');
    },
  );

  test('does not try with a long poll, whose outcome comes too late', async () => {
    const { circuit, clock } = setUp();
    await fail(circuit, 3);
    await clock.advance(5_000);
    expect(await outcome(circuit, () => answer(200), false)).toBe('refused');
    expect(circuit.state).toBe('open');
  });

  test('stays open no longer because the clock is set back by an hour', async () => {
    const { circuit, clock } = setUp();
    await fail(circuit, 3);
    clock.step(-3_600_000);
    expect(await outcome(circuit, () => answer(200))).toBe('refused');
    await clock.advance(5_000);
    expect(await outcome(circuit, () => answer(200))).toBe('200');
  });
});
