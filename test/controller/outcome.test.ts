import { describe, expect, it } from 'vitest';
import {
  failureDelayMs,
  outcomeOfError,
  outcomeOfResult,
  TerminalError,
  TransientError,
  WaitingError,
} from '../../src/controller/outcome.ts';

const live = new AbortController().signal;

describe('the outcome of what a pass threw', () => {
  const transient = new TransientError('Timeout', 'cannot reach "x": it timed out');
  const waiting = new WaitingError('LeaseHeld', 'cannot change "x": it is leased', { retryAfterMs: 5_000 });
  const terminal = new TerminalError('Forbidden', 'cannot change "x": it is not ours');
  const bug = new TypeError('x is not a function');

  it.each([
    {
      name: 'a TransientError is transient',
      thrown: transient,
      want: { kind: 'transient', error: transient },
    },
    { name: 'a WaitingError is waiting', thrown: waiting, want: { kind: 'waiting', error: waiting } },
    { name: 'a TerminalError is terminal', thrown: terminal, want: { kind: 'terminal', error: terminal } },
    { name: 'any other error is a bug', thrown: bug, want: { kind: 'bug', error: bug } },
    { name: 'what is no error at all is a bug', thrown: 'oh', want: { kind: 'bug', error: 'oh' } },
  ])('$name', ({ thrown, want }) => {
    expect(outcomeOfError(thrown, live)).toEqual(want);
  });

  it('is the reason of the signal once that has aborted', () => {
    expect(outcomeOfError(new Error('This operation was aborted'), AbortSignal.abort(waiting))).toEqual({
      kind: 'waiting',
      error: waiting,
    });
  });

  it('is what the pass itself says, even after the signal has aborted', () => {
    expect(outcomeOfError(terminal, AbortSignal.abort(waiting))).toEqual({
      kind: 'terminal',
      error: terminal,
    });
  });

  it('is a bug when the signal was aborted without one of our reasons', () => {
    expect(outcomeOfError(bug, AbortSignal.abort())).toEqual({ kind: 'bug', error: bug });
  });
});

describe('the delay after a failure', () => {
  it('is what was drawn', () => {
    expect(failureDelayMs({ kind: 'transient', error: new TransientError('R', 'm') }, 700)).toBe(700);
  });

  it('is what the error asks for when that is longer', () => {
    const error = new TransientError('RateLimited', 'm', { minDelayMs: 9_000 });
    expect(failureDelayMs({ kind: 'transient', error }, 700)).toBe(9_000);
    expect(failureDelayMs({ kind: 'transient', error }, 11_000)).toBe(11_000);
  });

  it.each([
    { drawnMs: 0, delayMs: 30_000 },
    { drawnMs: 12_000, delayMs: 42_000 },
    { drawnMs: 60_000, delayMs: 60_000 },
  ])('of a bug is between half a minute and a minute: $delayMs ms', ({ drawnMs, delayMs }) => {
    expect(failureDelayMs({ kind: 'bug', error: undefined }, drawnMs)).toBe(delayMs);
  });
});

describe('a delay that is not a finite number', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])('is refused wherever one is given: %s', (delayMs) => {
    expect(() => outcomeOfResult({ requeueAfterMs: delayMs })).toThrow(RangeError);
    expect(() => new WaitingError('R', 'm', { retryAfterMs: delayMs })).toThrow(RangeError);
    expect(() => new TransientError('R', 'm', { minDelayMs: delayMs })).toThrow(RangeError);
    expect(() => new TerminalError('R', 'm', { recheckAfterMs: delayMs })).toThrow(RangeError);
  });
});

describe('the errors', () => {
  it('carry their name, reason and cause', () => {
    const cause = new Error('socket hang up');
    const errors = [
      new TransientError('R', 'm', { cause }),
      new WaitingError('R', 'm', { cause, retryAfterMs: 1 }),
      new TerminalError('R', 'm', { cause }),
    ];
    expect(errors.map((error) => error.name)).toEqual(['TransientError', 'WaitingError', 'TerminalError']);
    for (const error of errors) expect(error).toMatchObject({ reason: 'R', message: 'm', cause });
  });

  it('have no empty cause', () => {
    expect(Object.hasOwn(new TransientError('R', 'm'), 'cause')).toBe(false);
  });
});
