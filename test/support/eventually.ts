/** Waits for a condition instead of a time. */
import { setTimeout as delay } from 'node:timers/promises';

const INTERVAL_MS = 50;
const DEFAULT_TIMEOUT_MS = 30_000;

export interface EventuallyOptions {
  /** Completes "gave up waiting for …". */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  /** A process without which waiting makes no sense: its end ends the wait, and its output tells why. */
  readonly during?: { output(): string; exited?(): number | null | undefined };
}

/**
 * Resolves with the first value that is not false, null or undefined. A look that got no answer in its time has seen
 * nothing: on a machine that stands still for a while that says nothing about who was asked. Any other error is thrown.
 */
export async function eventually<T>(
  look: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  options: EventuallyOptions,
): Promise<T> {
  const attempts = Math.ceil((options.timeoutMs ?? DEFAULT_TIMEOUT_MS) / (options.intervalMs ?? INTERVAL_MS));
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  for (let attempt = 0; attempt < attempts && performance.now() < deadline; attempt += 1) {
    const seen = await lookOnce(look);
    if (seen !== false && seen !== null && seen !== undefined) return seen;
    const code = options.during?.exited?.();
    if (code !== undefined) break;
    await delay(options.intervalMs ?? INTERVAL_MS);
  }
  throw new Error(
    `gave up waiting for ${options.what}${options.during ? `:\n${options.during.output()}` : ''}`,
  );
}

async function lookOnce<T>(look: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') return undefined;
    throw error;
  }
}
