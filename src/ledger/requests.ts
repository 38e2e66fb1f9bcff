/**
 * What was asked of the API, how long did it take, and what went wrong? Every request leaves one record in a bounded
 * queue, which never makes anybody wait; batches go to PostgreSQL, and to OpenSearch where one is configured. What does
 * not fit or cannot be written is dropped and counted: figures about requests are never worth a request.
 */
import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { Clock } from '../clock.ts';
import { createBatches, type BatchOptions } from './batches.ts';
import { createPartitions } from './partitions.ts';
import { createRequestReads, type RequestReads } from './request-reads.ts';
import { insertRequests } from './request-writes.ts';
import type { LedgerDatabase } from './tables.ts';

/** One request, as it was answered. */
export interface RequestRecord {
  readonly atMs: number;
  readonly requestId: string;
  readonly method: string;
  readonly route: string;
  /** Absent where it could hold a secret. */
  readonly path: string | undefined;
  /** Without the values that could be secret. */
  readonly query: Readonly<Record<string, string>>;
  readonly status: number;
  readonly errorCode: string | undefined;
  readonly errorMessage: string | undefined;
  readonly latencyMs: number;
  readonly address: string;
  readonly country: string | undefined;
  readonly userAgent: string | undefined;
  readonly referer: string | undefined;
  readonly subject: string | undefined;
  readonly customer: string | undefined;
  readonly tenant: string | undefined;
}

/** Where the records go. */
export interface RequestSink {
  readonly name: string;
  readonly write: BatchOptions<RequestRecord>['write'];
}

export interface RequestLog extends RequestReads {
  /** Never throws and never waits. */
  record(record: Omit<RequestRecord, 'atMs'>): void;
  /** Writes what is queued. */
  close(): Promise<void>;
}

const MOST_PER_BATCH = 1_000;
/** About ten seconds of the most that one process can answer. */
const MOST_QUEUED = 50_000;
const LINGER_MS = 1_000;

export function createRequestLog(options: {
  readonly db: LedgerDatabase;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly sink?: RequestSink;
}): RequestLog {
  const { db, clock, log, sink } = options;
  const dropped = new Counter({
    name: 'landlord_request_records_dropped_total',
    help: 'Records of requests that could not be kept.',
    labelNames: ['sink', 'cause'] as const,
    registers: [options.metrics],
  });
  const partitions = createPartitions(db);
  const postgres: RequestSink = {
    name: 'postgres',
    async write(batch) {
      await partitions.ensure(batch.map(({ atMs }) => atMs));
      await insertRequests(db, batch);
    },
  };
  const sinks = [postgres, ...(sink ? [sink] : [])].map((target) => {
    const { name } = target;
    dropped.inc({ sink: name, cause: 'full' }, 0);
    dropped.inc({ sink: name, cause: 'failed' }, 0);
    const batches = createBatches<RequestRecord>({
      clock,
      mostPerBatch: MOST_PER_BATCH,
      mostQueued: MOST_QUEUED,
      lingerMs: LINGER_MS,
      write: (batch, closing) =>
        target.write(batch, closing).catch((error: unknown) => {
          dropped.inc({ sink: name, cause: 'failed' }, batch.length);
          const cause = error instanceof Error ? error.message : String(error);
          log.warn({ cause, sink: name, records: batch.length }, 'lost records of requests');
          throw error;
        }),
    });
    return { name, batches };
  });
  return {
    ...createRequestReads({ db, clock }),
    record(answered) {
      const record = { ...answered, atMs: clock.now() };
      for (const { name, batches } of sinks)
        if (!batches.offer(record)) dropped.inc({ sink: name, cause: 'full' });
    },
    async close() {
      await Promise.all(sinks.map(({ batches }) => batches.close()));
    },
  };
}
