/**
 * How does what a client sent become something typed? Bodies, parameters and headers pass through here and
 * through zod, and nothing else of a request is believed.
 */
import { setMaxListeners } from 'node:events';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import { InvalidError } from '../store/store.ts';
import { validate } from '../tenant/validation.ts';
import { ApiError } from './errors.ts';

const MOST_CALLS_AT_ONCE = 32;

/** Parses with a schema; throws ApiError `invalid_request` with every issue. `what` names it: `the body`. */
export function parse<T>(schema: z.ZodType<T>, input: unknown, what: string): T {
  const parsed = validate(schema, input);
  if (parsed.ok) return parsed.value;
  const summary = parsed.issues
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .join('; ');
  throw new ApiError('invalid_request', `cannot read ${what}: ${summary}`, { issues: parsed.issues });
}

/** Runs what calls a parameter invalid, such as a selector or a token: a mistake of the request, not of a tenant. */
export function refuseParameter<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw asParameterError(error);
  }
}

/** What the store calls invalid in a read is a parameter: ApiError `invalid_request`. All else stays as it is. */
export function asParameterError(error: unknown): unknown {
  if (!(error instanceof InvalidError)) return error;
  return new ApiError('invalid_request', error.message, { issues: error.issues });
}

/**
 * Reads JSON bodies of `types`. An empty body is no body, whatever its content type says: clients send verbs
 * with a type and nothing in it. Anything else with content is refused. `inspect` sees every body with the text
 * that it was read from, and may refuse it.
 */
export function acceptJson(
  scope: FastifyInstance,
  types: readonly string[],
  inspect?: (request: FastifyRequest, body: unknown, text: string) => void,
): void {
  const parseJson = scope.getDefaultJsonParser('error', 'error');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser<string>([...types], { parseAs: 'string' }, (request, text, done) => {
    if (text.trim() === '') {
      done(null, undefined);
      return;
    }
    void parseJson(request, text, (error, body) => {
      const problem = error ?? problemWith(() => inspect?.(request, body, text));
      if (problem === undefined) done(null, body);
      else done(problem);
    });
  });
  scope.addContentTypeParser<string>('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') done(null, undefined);
    else done(new ApiError('unsupported_media_type', `cannot read the body: send ${types.join(' or ')}`));
  });
}

function problemWith(inspect: () => void): Error | undefined {
  try {
    inspect();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Reads form bodies (OAuth's token endpoint takes no others); anything else with content is refused. */
export function acceptForm(scope: FastifyInstance): void {
  const type = 'application/x-www-form-urlencoded';
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser<string>(type, { parseAs: 'string' }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(body))),
  );
  scope.addContentTypeParser<string>('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') done(null, undefined);
    else done(new ApiError('unsupported_media_type', `cannot read the body: send ${type}`));
  });
}

/** Keeps bodies of any type as the text that came: a signature is over every byte of it. */
export function acceptText(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser<string>('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
}

/** Aborts when the client has gone or the answer is through: for work that only serves this answer. */
export function answerSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
}

/**
 * Asks something outside for this answer, for at most `timeoutMs`. Whatever it throws becomes `unavailable`: the
 * client may try again, the log has the cause.
 */
export async function askOutside<T>(
  options: {
    readonly reply: FastifyReply;
    readonly clock: Clock;
    readonly timeoutMs: number;
    readonly problem: string;
  },
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const cancel = options.clock.setTimer(options.timeoutMs, () => deadline.abort());
  try {
    const signal = AbortSignal.any([answerSignal(options.reply), deadline.signal]);
    // Each call listens while it runs, and some answers take a dozen at once: that is no leak.
    setMaxListeners(MOST_CALLS_AT_ONCE, signal);
    return await ask(signal);
  } catch (error) {
    throw new ApiError('unavailable', options.problem, { headers: { 'retry-after': '5' }, cause: error });
  } finally {
    cancel();
  }
}
