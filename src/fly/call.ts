/**
 * What is one call to Fly? Plain values that say everything about an operation: how it is asked, how it is limited
 * and timed, and what its answers mean. The files by noun make calls; `transport.ts` carries them out.
 */
import type { z } from 'zod';
import type { HttpAnswer, HttpRequest } from './http.ts';
import type { Rate } from './limiter.ts';

export interface Call<T> {
  /** Fly's own name of the operation, such as `Machines_create`. */
  readonly operation: string;
  /** For messages: `cannot <verb> <thing> "<name>": …`. */
  readonly subject: readonly [verb: string, thing: string, name: string];
  /** GET when absent. A GET or HEAD is a read and may be repeated; any other is a write and is sent once. */
  readonly method?: HttpRequest['method'];
  /** A read that is answered only when something happens: never repeated here, on connections of its own. */
  readonly longPoll?: true;
  /** Segments below the base address, not yet encoded. */
  readonly path: readonly string[];
  /** Undefined ones are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: object;
  /** What the rate limit counts by (a machine, an app, an organisation); absent: not limited. */
  readonly limit?: { readonly id: string; readonly rate?: Rate };
  /** Instead of the time-out of reads or writes. */
  readonly timeoutMs?: number;
  /** Turns a success into the result; throws for an answer that cannot be understood. */
  readonly decode: (answer: HttpAnswer) => T;
  /** Refusals that are answers here, such as a 404 for what may be absent. */
  readonly means?: Readonly<Record<number, () => T>>;
  /** Sees every refusal before it becomes an error; for what is said in headers. */
  readonly onRefusal?: (answer: HttpAnswer) => void;
  /** Asked at the last moment before a write is sent; once it says no, the write fails with `NotPermitted`. */
  readonly mayAct?: MayAct;
  /** True when Fly's words might repeat what was sent, and that is secret: they are then not quoted. */
  readonly confidential?: true;
}

/** Whether whoever makes a call may still change anything at this moment. */
export type MayAct = () => boolean;

/** Carries out calls; rejects with FlyError only. */
export type Transport = <T>(call: Call<T>, signal: AbortSignal) => Promise<T>;

/** The transport for someone who may change things only as long as `mayAct` says so. Reads are not concerned. */
export function transportUnder(transport: Transport, mayAct: MayAct): Transport {
  return (call, signal) => transport({ ...call, mayAct }, signal);
}

/** True for a call that changes something, whose failure may be ambiguous. */
export function isWrite({ method = 'GET' }: Pick<Call<unknown>, 'method'>): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** Thrown by a decoder: says in a few words what is missing, without repeating the answer. */
export class Unintelligible extends Error {
  override readonly name = 'Unintelligible';
}

/** Thrown by a decoder: the answer is a success by its HTTP status and a refusal by its words. */
export class RefusedWithin extends Error {
  override readonly name = 'RefusedWithin';
}

/** Decodes a JSON answer by a schema. */
export function json<T>(schema: z.ZodType<T>): (answer: HttpAnswer) => T {
  return (answer) => {
    const result = schema.safeParse(parse(answer.body));
    if (result.success) return result.data;
    const path = result.error.issues[0]?.path.map(String).join('.') ?? '';
    throw new Unintelligible(
      path === '' ? 'the answer has another shape' : `the field ${path} is missing or of another type`,
    );
  };
}

/** For an operation whose success says all. */
export function nothing(): void {
  // The body, if there is one, repeats that it went well.
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    // The parser's own message would quote the answer.
    throw new Unintelligible('the answer is not JSON');
  }
}
