/** Do records reach an OpenSearch as it wants them, and what when it is busy or refuses? Over real HTTP. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createOpenSearchSink } from '../../src/ledger/opensearch.ts';
import { eventually } from '../support/eventually.ts';
import type { RequestRecord } from '../../src/ledger/requests.ts';

let server: Server;
let url: string;
/** Answers in turn; 200 when they are used up. */
let answers: number[];
let received: {
  path: string | undefined;
  authorization: string | undefined;
  type: string | undefined;
  lines: unknown[];
}[];
beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({
        path: request.url,
        authorization: request.headers.authorization,
        type: request.headers['content-type'],
        lines: body
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown),
      });
      response.writeHead(answers.shift() ?? 200).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  answers = [];
  received = [];
});
afterAll(() => server.close());

/** Of a process that is not stopping. */
const open = new AbortController().signal;

const record: RequestRecord = {
  atMs: Date.parse('2026-03-10T12:34:56Z'),
  requestId: 'request-1',
  method: 'GET',
  route: '/api/v1/tenants',
  path: '/api/v1/tenants',
  query: { limit: '5' },
  status: 200,
  errorCode: undefined,
  errorMessage: undefined,
  latencyMs: 3,
  address: '192.0.2.1',
  country: 'DE',
  userAgent: 'test',
  referer: undefined,
  subject: 'olga',
  customer: undefined,
  tenant: undefined,
};

describe('the bulk request', () => {
  it('names an index a day, and an id that makes a repetition harmless', async () => {
    const sink = createOpenSearchSink({ url, credentials: { username: 'user', password: 'pass' } });
    await sink.write([record, { ...record, requestId: 'request-2' }], open);
    await sink.close();
    expect(received).toHaveLength(1);
    const [{ path, authorization, type, lines } = {}] = received as Partial<(typeof received)[number]>[];
    expect(path).toBe('/_bulk');
    expect(type).toBe('application/x-ndjson');
    expect(authorization).toBe(`Basic ${Buffer.from('user:pass').toString('base64')}`);
    expect(lines).toHaveLength(4);
    expect(lines?.[0]).toEqual({
      index: { _index: 'landlord-requests-2026-03-10', _id: `request-1-${record.atMs}` },
    });
    expect(lines?.[1]).toMatchObject({
      '@timestamp': '2026-03-10T12:34:56.000Z',
      year: 2026,
      month: 3,
      day: 10,
      hour: 12,
      country: 'DE',
      query: { limit: '5' },
      latencyMs: 3,
    });
  });

  it('is repeated while the server is busy or broken', async () => {
    answers = [429, 503];
    const sink = createOpenSearchSink({ url, firstPauseMs: 1 });
    await sink.write([record], open);
    await sink.close();
    expect(received).toHaveLength(3);
  });

  it('is not repeated when it is refused, and an end of the repetitions is an error', async () => {
    const sink = createOpenSearchSink({ url, firstPauseMs: 1 });
    answers = [401];
    await expect(sink.write([record], open)).rejects.toThrow('cannot write to OpenSearch: it answered 401');
    expect(received).toHaveLength(1);
    answers = Array.from({ length: 9 }, () => 500);
    await expect(sink.write([record], open)).rejects.toThrow('it answered 500');
    expect(received).toHaveLength(6);
    await sink.close();
  });

  it('is sent once more and not repeated when the process stops', async () => {
    answers = Array.from({ length: 9 }, () => 503);
    const sink = createOpenSearchSink({ url, firstPauseMs: 60_000 });
    const closing = new AbortController();
    const waiting = expect(sink.write([record], closing.signal)).rejects.toThrow('stopping');
    await eventually(async () => received.length === 1, { what: 'the first try', intervalMs: 5 });
    closing.abort(new Error('stopping'));
    await waiting;
    await expect(sink.write([record], closing.signal)).rejects.toThrow('it answered 503');
    expect(received).toHaveLength(2);
    await sink.close();
  });
});
