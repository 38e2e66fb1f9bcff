/**
 * How does a call go through the world in real time? Its latency is waited for, then it takes effect; one that
 * waits for a machine is asked again when the machine has changed. One timer serves the whole world, however
 * many wait.
 */
import { setMaxListeners } from 'node:events';
import { sleep, type Clock } from '../clock.ts';
import type { Delivery } from './delivery.ts';
import type { SimulatedRequest } from './routes.ts';
import type { World } from './world.ts';

export interface Exchange {
  /** Takes a request through the world. When `signal` aborts nobody listens any more: what was sent still happens. */
  perform(request: SimulatedRequest, signal: AbortSignal): Promise<Exclude<Delivery, { kind: 'pending' }>>;
  /** To be told by the world's observer that a machine has changed. */
  machineChanged(machineId: string): void;
  /** To be called after the world was touched from elsewhere: what is due next may have changed. */
  touched(): void;
  close(): void;
}

export function createExchange(options: {
  world: () => World;
  clock: Clock;
  afterChange: () => void;
}): Exchange {
  const { world, clock, afterChange } = options;
  const waiting = new Map<string, Set<() => void>>();
  const closed = new AbortController();
  // Every call that is under way listens to it, and there may be hundreds.
  setMaxListeners(0, closed.signal);
  let armedFor = Infinity;
  let disarm = (): void => undefined;

  function touched(): void {
    afterChange();
    const due = world().nextDueAt() ?? Infinity;
    if (due >= armedFor || closed.signal.aborted) return;
    disarm();
    armedFor = due;
    disarm = clock.setTimer(due - clock.now(), () => {
      armedFor = Infinity;
      world().advance(clock.now());
      touched();
    });
  }

  /** Resolves when the machine changes, at `untilMs`, or when nobody listens any more. */
  async function changeOf(machineId: string, untilMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = (): void => woken.abort();
    const others = waiting.get(machineId) ?? new Set();
    waiting.set(machineId, others.add(wake));
    await sleep(clock, untilMs - clock.now(), AbortSignal.any([signal, woken.signal, closed.signal]));
    others.delete(wake);
    if (others.size === 0) waiting.delete(machineId);
  }

  return {
    touched,
    async perform(request, signal) {
      const arrival = world().arrive(request, clock.now());
      touched();
      if (arrival.latencyMs > 0) await sleep(clock, arrival.latencyMs, closed.signal);
      for (;;) {
        const delivery = world().answer(arrival, clock.now());
        touched();
        if (delivery.kind === 'answer' && delivery.holdMs > 0)
          await sleep(clock, delivery.holdMs, closed.signal);
        if (delivery.kind !== 'pending') return delivery;
        await changeOf(delivery.machineId, delivery.untilMs, signal);
        if (signal.aborted || closed.signal.aborted) return { kind: 'silence' };
      }
    },
    machineChanged(machineId) {
      for (const wake of waiting.get(machineId) ?? []) wake();
    },
    close() {
      closed.abort();
      disarm();
    },
  };
}
