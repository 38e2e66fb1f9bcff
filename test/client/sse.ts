/**
 * How does the CLI read a stream? It asks once, never resumes, and breaks on the first error or end. What it cannot
 * decode it drops without a word, and goes on; here that is remembered, so that a test can see it.
 */
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { z } from 'zod';
import { CliError, type Call, type Http } from './http.ts';

export interface StreamReader<T> {
  /** Names of frames that are looked at; every other one is ignored. */
  readonly names: readonly string[];
  readonly schema: z.ZodType<T>;
  /** What could not be decoded. */
  readonly onDropped: (text: string) => void;
}

/** Frames until the stream ends; then throws CliError, as it does for anything but a 200 of the right type. */
export async function* readStream<T>(http: Http, call: Call, reader: StreamReader<T>): AsyncGenerator<T> {
  const response = await http.open(call, 'text/event-stream');
  let heard = '';
  try {
    const type = response.headers.get('content-type') ?? '';
    if (!/^text\/event-stream\s*(;|$)/.test(type)) throw new CliError(`Invalid content type: ${type}`);
    const waiting: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (event) => void waiting.push(event) });
    const decoder = new TextDecoder();
    const chunks: AsyncIterable<Uint8Array> | null = response.body;
    for await (const chunk of chunks ?? []) {
      const text = decoder.decode(chunk, { stream: true });
      heard += text;
      parser.feed(text);
      for (const event of waiting.splice(0)) yield* decoded(event, reader);
    }
  } finally {
    await response.body?.cancel().catch(() => undefined);
    http.overheard({ method: call.method, path: call.path, status: response.status, text: heard });
  }
  throw new CliError('Stream ended');
}

function* decoded<T>(event: EventSourceMessage, reader: StreamReader<T>): Generator<T> {
  if (!reader.names.includes(event.event ?? 'message')) return;
  const result = reader.schema.safeParse(jsonOf(event.data));
  if (result.success) yield result.data;
  else reader.onDropped(event.data);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
