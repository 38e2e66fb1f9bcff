/** A client of endless answers: reads lines of JSON or frames of server-sent events from a real socket. */
import { request } from 'undici';
import type { Caller, Harness } from './harness.ts';

export interface StreamClient {
  readonly status: number;
  readonly contentType: string;
  /** The next chunk between separators; undefined when the stream has ended. */
  next(): Promise<string | undefined>;
  /** Hangs up. */
  close(): void;
}

/** `separator` ends a chunk: a line feed for a watch, an empty line for events. */
export async function openStream(
  harness: Harness,
  options: {
    caller: Exclude<Caller, 'nobody'>;
    path: string;
    separator: string;
    headers?: Record<string, string>;
  },
): Promise<StreamClient> {
  const hangUp = new AbortController();
  const { statusCode, headers, body } = await request(`${harness.url}${options.path}`, {
    headers: { authorization: `Bearer ${await harness.token(options.caller)}`, ...options.headers },
    signal: hangUp.signal,
  });
  const chunks = split(body, options.separator);
  return {
    status: statusCode,
    contentType: String(headers['content-type']),
    async next() {
      const chunk = await chunks.next();
      return chunk.done === true ? undefined : chunk.value;
    },
    close: () => hangUp.abort(),
  };
}

async function* split(body: AsyncIterable<Buffer>, separator: string): AsyncGenerator<string, undefined> {
  let rest = '';
  for await (const piece of body) {
    const parts = (rest + piece.toString('utf8')).split(separator);
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') throw new Error(`the stream broke off after: ${rest}`);
}

/** The value of a gauge or counter with these labels, as Prometheus would scrape it. */
export async function metric(harness: Harness, line: string): Promise<number> {
  const answer = await harness.api.inject({ url: '/metrics' });
  const found = answer.body.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  if (found === undefined) throw new Error(`no such figure: ${line}`);
  return Number(found.slice(line.length));
}
