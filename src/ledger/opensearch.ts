/**
 * How do records of requests reach OpenSearch? By its bulk interface, into one index a day, with a few repetitions
 * while it is busy or away. Nobody waits for it but the batch itself.
 */
import pRetry, { AbortError } from 'p-retry';
import { Agent, request } from 'undici';
import type { RequestRecord, RequestSink } from './requests.ts';

export interface OpenSearchOptions {
  /** Such as `https://search.example.com:9200`. */
  readonly url: string;
  readonly credentials?: { readonly username: string; readonly password: string };
  /** Of the pauses between repetitions, in milliseconds; the first of them. */
  readonly firstPauseMs?: number;
}

export interface OpenSearchSink extends RequestSink {
  close(): Promise<void>;
}

const INDEX = 'landlord-requests';
const REQUEST_TIMEOUT_MS = 10_000;
const MOST_REPETITIONS = 4;
const FIRST_PAUSE_MS = 500;

export function createOpenSearchSink(options: OpenSearchOptions): OpenSearchSink {
  const { url, credentials, firstPauseMs = FIRST_PAUSE_MS } = options;
  const agent = new Agent({ connections: 1 });
  const stopped = new AbortController();
  const authorization =
    credentials &&
    `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;

  async function send(body: string): Promise<void> {
    const answer = await request(`${url}/_bulk`, {
      method: 'POST',
      dispatcher: agent,
      headers: { 'content-type': 'application/x-ndjson', ...(authorization && { authorization }) },
      body,
      signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
    });
    await answer.body.dump();
    const { statusCode } = answer;
    if (statusCode < 300) return;
    const refused = new Error(`cannot write to OpenSearch: it answered ${statusCode}`);
    if (statusCode === 429 || statusCode >= 500) throw refused;
    throw new AbortError(refused);
  }

  return {
    name: 'opensearch',
    write: (batch, closing) =>
      closing.aborted
        ? send(bulkBody(batch))
        : pRetry(() => send(bulkBody(batch)), {
            retries: MOST_REPETITIONS,
            minTimeout: firstPauseMs,
            randomize: true,
            signal: AbortSignal.any([stopped.signal, closing]),
          }),
    async close() {
      stopped.abort(new Error('cannot write to OpenSearch: stopping'));
      await agent.destroy();
    },
  };
}

/** Two lines a record: where it goes, and what it is. The id makes a repetition overwrite instead of adding. */
function bulkBody(batch: readonly RequestRecord[]): string {
  const lines = batch.flatMap((record) => {
    const at = new Date(record.atMs);
    const day = at.toISOString().slice(0, 10);
    const { atMs: _atMs, ...rest } = record;
    const document = {
      '@timestamp': at.toISOString(),
      year: at.getUTCFullYear(),
      month: at.getUTCMonth() + 1,
      day: at.getUTCDate(),
      hour: at.getUTCHours(),
      ...rest,
    };
    const id = `${record.requestId}-${record.atMs}`;
    return [JSON.stringify({ index: { _index: `${INDEX}-${day}`, _id: id } }), JSON.stringify(document)];
  });
  return `${lines.join('\n')}\n`;
}
