/**
 * How does the real client of Fly reach the simulated Fly without a socket? Through the client's own port for
 * HTTP. Everything above it is the product's code (limits, circuit, repeats, decoding, classification), everything
 * below it is `src/simulator`'s; only bytes on a connection are left out.
 */
import { HttpFailure, type Http, type HttpAnswer, type HttpRequest } from '../../src/fly/http.ts';
import type { Answer } from '../../src/simulator/call.ts';
import type { Delivery } from '../../src/simulator/delivery.ts';
import type { Exchange } from '../../src/simulator/exchange.ts';
import { appNameOf, routeOf, type SimulatedRequest } from '../../src/simulator/routes.ts';
import { flyAnswer, type Fate } from './fate.ts';
import type { Kernel, Process } from './kernel.ts';
import type { Maker, Made } from '../invariants/maker.ts';
import type { Answered } from './refusals.ts';
import type { Wire } from './wire.ts';

/** Between here and Fly, one way; Fly's own time is part of the world. */
const FAR_MS = [5, 25] as const;
/** How long after its caller has given up a request may still arrive. */
const OVERDUE_MS = [500, 10_000] as const;

/** A call that reached Fly, when it took effect (or was refused). */
export interface FlyCall {
  readonly operation: string;
  readonly isWrite: boolean;
  /** The app that it is about; undefined: it is about none, or the registry. */
  readonly app: string | undefined;
  readonly path: string;
  readonly body: string | undefined;
  /** What Fly answered, whether or not that was heard; undefined: it answered nothing. */
  readonly status: number | undefined;
  /** Whether it was let in and did what it was to do. */
  readonly applied: boolean;
  readonly made: Made;
}

/** A call that has arrived at Fly, and has had no effect yet. */
export type Arrival = Pick<FlyCall, 'operation' | 'path' | 'made'>;

export interface FlyHttpOptions {
  readonly kernel: Kernel;
  readonly wire: Wire;
  readonly exchange: Exchange;
  readonly process: Process;
  /** Says who makes a call now. */
  readonly maker: () => Maker;
  readonly onCall: (call: FlyCall) => void;
  /** A call arrives at Fly. Answers with what is to be told the status of its answer; undefined: there is none. */
  readonly onArrival: (call: Arrival) => (status: number | undefined) => void;
  /** A write is answered, and the answer sets out. */
  readonly onAnswer: (answered: Answered) => void;
  /** A write is about to leave the process, under the permit with which it was made. */
  readonly onWrite: (app: string, write: { readonly maker: Maker; readonly mayBegin: MayBegin }) => void;
}

type MayBegin = (() => boolean) | undefined;

/** Fly as one process reaches it. */
export function createFlyHttp(options: FlyHttpOptions): Http {
  return {
    exchange: (request, signal) =>
      new Promise((resolve, reject) => begin(options, { request, signal, resolve, reject })),
    close: () => Promise.resolve(),
  };
}

const NEVER = new AbortController().signal;

interface Waiting {
  readonly request: HttpRequest;
  readonly signal: AbortSignal;
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (failure: HttpFailure) => void;
}

/** Where the caller stands: it hears one thing and then no more. */
interface Caller {
  answer(answer: HttpAnswer): void;
  disconnected(): void;
  /** Aborts when nobody listens any more. */
  readonly gone: AbortSignal;
}

function begin(options: FlyHttpOptions, waiting: Waiting): void {
  const { kernel, wire, process } = options;
  const { request, signal } = waiting;
  if (signal.aborted) {
    waiting.reject(new HttpFailure('aborted', { sent: false, message: 'the caller stopped waiting' }));
    return;
  }
  if (request.mayBegin?.() === false) {
    waiting.reject(new HttpFailure('forbidden', { sent: false, message: 'it may no longer be sent' }));
    return;
  }
  const { operation, app, isWrite, sent } = simulated(request);
  const maker = options.maker();
  if (isWrite && app !== undefined) options.onWrite(app, { maker, mayBegin: request.mayBegin });
  const fate = wire.begin(process, `fly.${operation}`, app);
  if (fate === 'crash-before') {
    wire.crash(process);
    return;
  }
  const caller = listen(process, waiting);
  const late = fate === 'effect-late';
  const delayMs = late ? request.timeoutMs + kernel.draw(OVERDUE_MS) : kernel.draw(FAR_MS);
  if (late) wire.overdue(delayMs);
  const call = { operation, isWrite, app };
  if (fate === 'request-lost') return;
  wire.outside.later(delayMs, () => {
    const answered = (): void => {
      if (isWrite && app !== undefined)
        options.onAnswer({ operation, app, path: sent.path, body: sent.body, fate, maker });
    };
    const spoken = flyAnswer(fate ?? 'crash-before');
    if (spoken !== undefined && spoken.applied === undefined) {
      answered();
      backTo(options, () => caller.answer(answerOf({ ...spoken, ...bodyOf(spoken.body) })));
      return;
    }
    const madeBy = (): Made => ({ ...maker, atMs: kernel.now(), late });
    const answeredWith = options.onArrival({ operation, path: sent.path, made: madeBy() });
    const note = (status: number | undefined): void => {
      answeredWith(status);
      options.onCall({
        ...call,
        ...{ path: sent.path, body: sent.body },
        made: madeBy(),
        ...{ status, applied: status !== undefined && status < 300 },
      });
    };
    void options.exchange.perform(sent, caller.gone).then((delivery) => {
      note(delivery.kind === 'answer' ? delivery.answer.status : undefined);
      if (fate === undefined && delivery.kind === 'answer') answered();
      end(options, { fate, delivery, caller });
    });
  });
}

/** Fly has done its part. */
function end(
  options: FlyHttpOptions,
  { fate, delivery, caller }: { fate: Fate | undefined; delivery: Delivery; caller: Caller },
): void {
  const { wire, process } = options;
  if (fate === 'answer-lost') {
    backTo(options, () => caller.disconnected());
    return;
  }
  if (fate === 'crash-on-effect') {
    wire.crash(process);
    return;
  }
  if (fate === 'answer-late' || fate === 'effect-late' || delivery.kind === 'silence') return;
  if (delivery.kind !== 'answer') {
    backTo(options, () => caller.disconnected());
    return;
  }
  const garbled = fate === undefined ? undefined : flyAnswer(fate);
  const answer = garbled === undefined ? delivery.answer : { ...garbled, ...bodyOf(garbled.body) };
  backTo(options, () => {
    caller.answer(answerOf(answer));
    if (fate === 'crash-after-answer') wire.crashSoon(process);
  });
}

function backTo({ kernel, process }: FlyHttpOptions, deliver: () => void): void {
  process.later(kernel.draw(FAR_MS), deliver);
}

function listen(process: Process, { request, signal, resolve, reject }: Waiting): Caller {
  // Only Fly's blocking calls end sooner because nobody listens.
  const gone = request.longPoll ? new AbortController() : undefined;
  const cancelTimer = process.clock.setTimer(request.timeoutMs, () =>
    fail('timedOut', `no answer within ${request.timeoutMs} ms`),
  );
  let listening = true;
  function stop(): boolean {
    if (!listening) return false;
    listening = false;
    cancelTimer();
    signal.removeEventListener('abort', onAbort);
    return true;
  }
  function fail(reason: 'timedOut' | 'aborted' | 'disconnected', message: string): void {
    if (!stop()) return;
    reject(new HttpFailure(reason, { sent: true, message }));
    gone?.abort();
  }
  function onAbort(): void {
    fail('aborted', 'the caller stopped waiting');
  }
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    answer(answer) {
      if (stop()) resolve(answer);
    },
    disconnected: () => fail('disconnected', 'the connection broke before the answer was complete'),
    gone: gone?.signal ?? NEVER,
  };
}

function simulated(request: HttpRequest): {
  readonly operation: string;
  readonly app: string | undefined;
  readonly isWrite: boolean;
  readonly sent: SimulatedRequest;
} {
  const [path = '', query = ''] = request.path.split('?');
  const { route, params = {} } = routeOf({ method: request.method, path }) ?? {};
  const operation = route?.operation ?? 'unknown';
  const { method, headers, body } = request;
  return {
    operation,
    app: appNameOf(operation, params, body),
    isWrite: method !== 'GET' && method !== 'HEAD',
    sent: {
      method,
      path,
      query: new URLSearchParams(query),
      headers,
      ...(body !== undefined && { body }),
    },
  };
}

function bodyOf(body: unknown): Pick<Answer, 'text' | 'json'> {
  return typeof body === 'string' ? { text: body } : { json: body };
}

function answerOf({ status, headers = {}, json, text }: Answer): HttpAnswer {
  return {
    status,
    body: text ?? (json === undefined ? '' : JSON.stringify(json)),
    header: (name) => headers[name],
  };
}
