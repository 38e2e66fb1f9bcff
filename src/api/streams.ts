/**
 * How does an answer that never ends get written without harm? Watches and event streams share this: a bounded
 * number of them, at most one unwritten chunk each, an end when the client goes, when it stops reading, when the
 * stream has lived long enough, and when the process stops.
 */
import type { FastifyReply } from 'fastify';
import { Gauge, type Registry } from 'prom-client';
import { sleep, type Clock } from '../clock.ts';
import type { ApiDependencies } from './dependencies.ts';
import { ApiError } from './errors.ts';

declare module 'fastify' {
  interface FastifyReply {
    /** True once the answer has become a stream. */
    streaming: boolean;
  }
}

export interface Stream {
  /** Aborts when there is nobody left to write for; every wait inside a stream must take it. */
  readonly signal: AbortSignal;
  /** Resolves once the client has room for more. Writes nothing after the end. */
  write(chunk: string): Promise<void>;
  /** Ends the stream after what was written. */
  end(): void;
}

export interface StreamOptions {
  readonly kind: 'watch' | 'events' | 'logs';
  readonly contentType: string;
  /** The stream ends by itself after this long; the client comes back with its last position. */
  readonly lifetimeMs: number;
  /** Who pays for it: nobody may hold all of them. */
  readonly holder: string;
}

export interface Streams {
  /** Writes what `produce` writes; the answer ends when it returns. Throws ApiError `too_many_streams` beforehand. */
  serve(
    reply: FastifyReply,
    options: StreamOptions,
    produce: (stream: Stream) => Promise<void>,
  ): Promise<void>;
  /** Ends every stream and waits for it; none is opened afterwards. */
  close(): Promise<void>;
}

/** Each costs a socket and a feed of changes; beyond this a client must wait. */
const MOST_STREAMS = 2_000;
const MOST_STREAMS_PER_HOLDER = 200;
/** A client that has read nothing for this long is taken for dead: its changes would pile up here. */
const STUCK_CLIENT_MS = 30_000;

export function createStreams({ clock, metrics }: Pick<ApiDependencies, 'clock' | 'metrics'>): Streams {
  const open = new Map<AbortController, { readonly holder: string; readonly done: Promise<void> }>();
  let closed = false;
  const gauge = openStreams(metrics);

  function refuseTooMany(holder: string): void {
    const held = [...open.values()].filter((stream) => stream.holder === holder).length;
    if (!closed && open.size < MOST_STREAMS && held < MOST_STREAMS_PER_HOLDER) return;
    throw new ApiError('too_many_streams', 'cannot open the stream: too many are open', {
      headers: { 'retry-after': '5' },
    });
  }

  return {
    async serve(reply, options, produce) {
      refuseTooMany(options.holder);
      const over = new AbortController();
      const done = run({ ...options, reply, clock, over }, produce);
      open.set(over, { holder: options.holder, done });
      gauge.inc({ kind: options.kind });
      await done.finally(() => {
        open.delete(over);
        gauge.dec({ kind: options.kind });
      });
    },
    async close() {
      closed = true;
      for (const over of open.keys()) over.abort();
      await Promise.allSettled([...open.values()].map(({ done }) => done));
    },
  };
}

const gauges = new WeakMap<Registry, Gauge<'kind'>>();

/** Both listeners of a process count in the same figure. */
function openStreams(metrics: Registry): Gauge<'kind'> {
  const known = gauges.get(metrics);
  if (known !== undefined) return known;
  const gauge = new Gauge({
    name: 'landlord_http_streams',
    help: 'Open watches, event streams and logs that are followed.',
    labelNames: ['kind'] as const,
    registers: [metrics],
  });
  for (const kind of ['watch', 'events', 'logs']) gauge.set({ kind }, 0);
  gauges.set(metrics, gauge);
  return gauge;
}

interface Run extends StreamOptions {
  readonly reply: FastifyReply;
  readonly clock: Clock;
  readonly over: AbortController;
}

/** Never throws: once the head is sent, an error can only be logged, and the stream cut short. */
async function run(options: Run, produce: (stream: Stream) => Promise<void>): Promise<void> {
  const { reply, clock, over } = options;
  const { raw } = reply;
  const end = () => over.abort();
  raw.once('close', end);
  // A client that left while its tenant was looked up closes no second time.
  if (raw.destroyed) end();
  const cancelLifetime = clock.setTimer(options.lifetimeMs, end);
  reply.streaming = true;
  reply.hijack();
  raw.writeHead(200, headersOf(reply, options.contentType));
  raw.flushHeaders();
  try {
    await produce({ signal: over.signal, end, write: (chunk) => write(options, chunk) });
  } catch (error) {
    reply.log.warn({ err: error, kind: options.kind }, 'stream cut short');
  } finally {
    cancelLifetime();
    end();
    raw.end();
  }
}

/** All at once, for Node keeps whatever is set one by one as long as the stream is open. */
function headersOf(reply: FastifyReply, contentType: string): Record<string, number | string | string[]> {
  const headers: Record<string, number | string | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) headers[name] = value;
  // A proxy that buffers (nginx does) would hold changes back until its buffer is full.
  return { ...headers, 'content-type': contentType, 'x-accel-buffering': 'no' };
}

/** Waits for room before it returns, so that at most one chunk of each stream is ever waiting. */
async function write({ reply, clock, over }: Run, chunk: string): Promise<void> {
  const { raw } = reply;
  if (over.signal.aborted || raw.destroyed) return;
  if (raw.write(chunk)) return;
  const settled = new AbortController();
  const settle = () => settled.abort();
  raw.once('drain', settle);
  over.signal.addEventListener('abort', settle, { once: true });
  await sleep(clock, STUCK_CLIENT_MS, settled.signal);
  raw.off('drain', settle);
  over.signal.removeEventListener('abort', settle);
  if (settled.signal.aborted) return;
  reply.log.info('stream ended: the client has stopped reading');
  over.abort();
  raw.destroy();
}
