/**
 * How is Paddle spoken to? Through its own SDK, which is loaded at the first use (300 ms and 28 MB that a daemon
 * without billing never pays). The SDK sets no time limits and no kinds of errors: both are added here.
 */
import type { Paddle as Sdk, PaddleOptions as SdkOptions } from '@paddle/paddle-node-sdk';
import type { Clock } from '../clock.ts';
import { within } from '../database/within.ts';

export interface Paddle {
  /** Whether Paddle signed this very body, within the last seconds. `signature` is the header `Paddle-Signature`. */
  isSigned(body: string, signature: string): Promise<boolean>;
  /** Paddle's customer of this address, made if there is none yet. Throws PaddleError. */
  customerOf(person: { readonly email: string; readonly name: string | undefined }): Promise<string>;
  /** A transaction to be paid in a browser. Throws PaddleError. */
  createTransaction(order: PaddleOrder): Promise<{ readonly id: string; readonly checkoutUrl: string }>;
  /** Asks for the end of a subscription, at the end of what is paid. Throws PaddleError. */
  cancel(subscriptionId: string): Promise<void>;
}

export interface PaddleOrder {
  readonly customerId: string;
  readonly priceId: string;
  /** For people who look at Paddle's dashboard: nothing of ours believes it when it comes back. */
  readonly checkoutId: string;
  /** Page that opens the payment; absent: the default of the Paddle account. */
  readonly pageUrl: string | undefined;
}

/** Paddle refused (a person must act), or is not available (it may be tried again). */
export class PaddleError extends Error {
  override readonly name = 'PaddleError';
  readonly kind: 'refused' | 'unavailable';
  /** Paddle's own code, such as `subscription_locked_pending_changes`. */
  readonly code: string | undefined;

  constructor(kind: PaddleError['kind'], message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.code = options.code;
  }
}

export interface PaddleOptions {
  readonly apiKey: string;
  readonly webhookSecret: string;
  /** `production`, `sandbox`, or the address of something that speaks as Paddle does. */
  readonly environment: string;
  readonly clock: Clock;
}

/** One call; a checkout makes up to three of them and must answer within the CLI's 30 seconds. */
const CALL_TIMEOUT_MS = 8_000;
const EMAIL_TAKEN = 'customer_already_exists';

export function createPaddle(options: PaddleOptions): Paddle {
  const { webhookSecret } = options;
  let loading: Promise<Sdk> | undefined;
  const sdk = (): Promise<Sdk> => (loading ??= load(options));

  const call = async <T>(what: string, run: (paddle: Sdk) => Promise<T>): Promise<T> => {
    const paddle = await sdk();
    const answer = await within(run(paddle), { clock: options.clock, limitMs: CALL_TIMEOUT_MS }).catch(
      (error: unknown) => {
        throw toPaddleError(what, error);
      },
    );
    if (answer === 'late')
      throw new PaddleError(
        'unavailable',
        `cannot ${what}: Paddle did not answer within ${CALL_TIMEOUT_MS} ms`,
      );
    return answer;
  };

  return {
    async isSigned(body, signature) {
      const { webhooks } = await sdk();
      // It throws on a header that it cannot read.
      return webhooks.isSignatureValid(body, webhookSecret, signature).catch(() => false);
    },
    async customerOf({ email, name }) {
      try {
        const made = await call('make a customer', (paddle) =>
          paddle.customers.create({ email, ...(name !== undefined && { name }) }),
        );
        return made.id;
      } catch (error) {
        if (!(error instanceof PaddleError) || error.code !== EMAIL_TAKEN) throw error;
      }
      const [found] = await call('find a customer', (paddle) =>
        paddle.customers.list({ email: [email], perPage: 1 }).next(),
      );
      if (found !== undefined) return found.id;
      throw new PaddleError(
        'refused',
        'cannot find a customer: Paddle says both that it exists and that it does not',
      );
    },
    async createTransaction({ customerId, priceId, checkoutId, pageUrl }) {
      const { id, checkout } = await call('make a transaction', (paddle) =>
        paddle.transactions.create({
          items: [{ priceId, quantity: 1 }],
          customerId,
          customData: { checkoutSessionId: checkoutId },
          ...(pageUrl !== undefined && { checkout: { url: pageUrl } }),
        }),
      );
      if (checkout?.url) return { id, checkoutUrl: checkout.url };
      throw new PaddleError(
        'refused',
        'cannot make a transaction that can be paid: the Paddle account has no default payment link',
      );
    },
    async cancel(subscriptionId) {
      await call(`cancel subscription "${subscriptionId}"`, (paddle) =>
        paddle.subscriptions.cancel(subscriptionId, { effectiveFrom: 'next_billing_period' }),
      );
    },
  };
}

async function load({ apiKey, environment }: PaddleOptions): Promise<Sdk> {
  const { LogLevel, Paddle } = await import('@paddle/paddle-node-sdk');
  // An edge: the SDK's type knows its two names only, and takes anything else for a base address.
  const settings: unknown = { environment, logLevel: LogLevel.none };
  return new Paddle(apiKey, settings as SdkOptions);
}

/** What the SDK throws: its own error with Paddle's code, or whatever fetch and JSON.parse throw. */
function toPaddleError(what: string, error: unknown): PaddleError {
  const { code, type } = error instanceof Error ? (error as { code?: unknown; type?: unknown }) : {};
  if (typeof code === 'string' && type === 'request_error' && code !== 'too_many_requests')
    return new PaddleError('refused', `cannot ${what}: Paddle refused it (${code})`, { code, cause: error });
  return new PaddleError('unavailable', `cannot ${what}: Paddle is not available`, { cause: error });
}
