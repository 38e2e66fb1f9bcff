import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClusterAccess } from '../../src/kubernetes/access.ts';
import type { KubernetesClient } from '../../src/kubernetes/client.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { freePort } from '../support/processes.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { eventually } from '../support/eventually.ts';
import { kubeconfigOf, startStandIn, type StandIn } from './api-server.ts';
import { clientOf } from './client-of.ts';

let folder: string;
const opened: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landlord-kubeconfig-'));
});
afterEach(async () => {
  for (let next = opened.pop(); next !== undefined; next = opened.pop()) await next.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function against(
  answer: Answer,
  options: { readonly basePath?: string; readonly cluster?: Readonly<Record<string, unknown>> } = {},
): Promise<{ client: KubernetesClient; server: StandIn }> {
  const server = await startStandIn({ folder, answer, ...options });
  opened.push(server);
  const client = await clientOf(server.kubeconfig);
  opened.push(client);
  return { client, server };
}

const status =
  (code: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    void response
      .writeHead(code, { 'content-type': 'application/json', ...headers })
      .end(typeof body === 'string' ? body : JSON.stringify(body));

async function failureOf(work: Promise<unknown>): Promise<KubernetesError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof KubernetesError)) throw new Error(`not a KubernetesError: ${String(error)}`);
  return error;
}

describe('a call to an API server', () => {
  it('carries credentials, the base path, a body and its type, and answers with what came', async () => {
    const seen: IncomingMessage[] = [];
    const { client } = await against(
      (request, response) => {
        seen.push(request);
        request.pipe(response);
      },
      { basePath: '/clusters/one' },
    );
    const body = { note: 'häß ☃' };
    const contentType = 'application/merge-patch+json';
    expect(await client.call({ method: 'PATCH', path: '/api/v1/x?dryRun=All', body, contentType })).toEqual(
      body,
    );
    expect(seen[0]).toMatchObject({
      method: 'PATCH',
      url: '/clusters/one/api/v1/x?dryRun=All',
      headers: {
        authorization: 'Bearer secret-token',
        'content-type': contentType,
        'user-agent': 'landlord',
      },
    });
  });

  it('keeps its connection for the next one, until a certificate is renewed', async () => {
    const authority = join(folder, 'ca.crt');
    await writeFile(authority, 'one');
    const { client, server } = await against(status(200, {}), {
      cluster: { 'certificate-authority': authority },
    });
    const callOften = async (): Promise<void> => {
      for (let calls = 0; calls < 20; calls += 1) await client.call({ method: 'GET', path: '/' });
    };
    await callOften();
    const before = server.connections;
    // Not always one: the next call may come before the last one has quite let go of it.
    expect(before).toBeLessThanOrEqual(2);
    await callOften();
    expect(server.connections).toBe(before);
    await writeFile(authority, 'two');
    await callOften();
    expect(server.connections).toBeGreaterThan(before);
  });

  const forbidden = {
    message: 'tenants.cloud.systemprompt.io is forbidden: User "landlord" cannot list resource "tenants"',
    reason: 'Forbidden',
  };
  it.each([
    ['a right that is missing', 403, forbidden, {}, 'refused', `${forbidden.message} (403)`],
    [
      'credentials that are not accepted',
      401,
      { message: 'Unauthorized' },
      {},
      'refused',
      'the API server does not accept our credentials (401): check those in KUBECONFIG or the service account',
    ],
    ['an overload', 429, {}, { 'retry-after': '7' }, 'busy', 'the API server has too much to do (429)'],
    [
      'an internal error',
      500,
      { message: 'etcdserver: x' },
      {},
      'unavailable',
      'the API server is not well (500)',
    ],
    ['a proxy that speaks HTML', 502, '<html>', {}, 'unavailable', 'the API server is not well (502)'],
    ['a conflict', 409, { message: 'it\n  changed', reason: 'Conflict' }, {}, 'rejected', 'it changed (409)'],
    ['no words at all', 418, '', {}, 'rejected', 'the API server refused it (418)'],
    [
      'a success that is no JSON',
      200,
      '<html>',
      {},
      'unavailable',
      'what answers in the place of the API server does not speak JSON',
    ],
  ])('says of %s what it is', async (_what, code, body, headers, kind, message) => {
    const { client } = await against(status(code, body, headers));
    const failure = await failureOf(client.call({ method: 'GET', path: '/' }));
    expect(failure).toMatchObject({ kind, message });
    expect(failure.retryAfterMs).toBe(code === 429 ? 7_000 : undefined);
  });

  it('knows that an answer which never came may mean that it was done, and a refused connection may not', async () => {
    const cut = await against((request) => request.socket.destroy());
    expect(await failureOf(cut.client.call({ method: 'PUT', path: '/', body: {} }))).toMatchObject({
      kind: 'unavailable',
      ambiguous: true,
      message: 'the connection to the API server was lost',
    });
    const nobody = join(folder, 'nobody.kubeconfig');
    const server = `http://127.0.0.1:${await freePort()}`;
    await writeFile(
      nobody,
      kubeconfigOf({ cluster: { server, 'insecure-skip-tls-verify': true }, user: {} }),
    );
    const client = await clientOf(nobody);
    opened.push(client);
    expect(await failureOf(client.call({ method: 'PUT', path: '/', body: {} }))).toMatchObject({
      kind: 'unavailable',
      ambiguous: false,
      message: 'the API server cannot be reached: nothing listens there (ECONNREFUSED)',
    });
  });

  it('ends at its time when nobody answers, and at once when the caller has gone', async () => {
    const clock = createFakeClock();
    let asked = 0;
    const server = await startStandIn({ folder, answer: () => void (asked += 1) });
    opened.push(server);
    const client = await clientOf(server.kubeconfig, { clock });
    opened.push(client);
    const silent = failureOf(client.call({ method: 'GET', path: '/', timeoutMs: 5_000 }));
    await eventually(() => asked === 1, { what: 'the call to arrive' });
    await clock.advance(5_000);
    expect(await silent).toMatchObject({ kind: 'unavailable', ambiguous: true });
    const gone = new AbortController();
    const left = client.call({ method: 'GET', path: '/', signal: gone.signal });
    await eventually(() => asked === 2, { what: 'the next call to arrive' });
    gone.abort();
    await expect(left).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(clock.timers).toBe(0);
  });

  it('is counted by method and outcome', async () => {
    const registry = new Registry();
    const server = await startStandIn({ folder, answer: status(404, {}) });
    opened.push(server);
    const client = await clientOf(server.kubeconfig, { registry });
    opened.push(client);
    await failureOf(client.call({ method: 'GET', path: '/' }));
    expect(await registry.metrics()).toContain(
      'landlord_kubernetes_calls_total{method="GET",outcome="404"} 1',
    );
  });
});

describe('a stream from an API server', () => {
  it('gives each line as soon as it is there, and says when it broke', async () => {
    let respond: ServerResponse | undefined;
    const { client } = await against((_request, response) => {
      respond = response;
      response.writeHead(200).write('one\ntw');
    });
    const { lines } = await client.stream({ path: '/', signal: new AbortController().signal });
    expect((await lines.next()).value).toBe('one');
    respond?.write('o\nthr');
    expect((await lines.next()).value).toBe('two');
    respond?.destroy();
    expect(await failureOf(lines.next())).toMatchObject({ kind: 'unavailable' });
  });

  it('lets go of its connection when it is closed', async () => {
    let open = 0;
    const { client } = await against((_request, response) => {
      open += 1;
      response.writeHead(200).write('one\n').valueOf();
      response.on('close', () => (open -= 1));
    });
    const stream = await client.stream({ path: '/', signal: new AbortController().signal });
    expect((await stream.lines.next()).value).toBe('one');
    stream.close();
    await eventually(() => open === 0, { what: 'the connection to be closed' });
  });

  it('throws what the server refuses it with', async () => {
    const { client } = await against(status(410, { reason: 'Expired', message: 'too old', code: 410 }));
    const stream = client.stream({ path: '/', signal: new AbortController().signal });
    expect(await failureOf(stream)).toMatchObject({ status: 410, reason: 'Expired' });
  });
});

describe('the way to a cluster', () => {
  it.each([
    [
      'a file that is not there',
      undefined,
      /^cannot read kubeconfig ".*": it is missing or not a kubeconfig \(ENOENT\)$/,
    ],
    [
      'a file that is no kubeconfig',
      'token: {secret',
      /^cannot read kubeconfig ".*": it is missing or not a kubeconfig$/,
    ],
    [
      'a context without a cluster',
      '{"clusters":[],"users":[],"contexts":[]}',
      /^cannot find the API server: .* names no cluster$/,
    ],
    [
      'a server without encryption',
      kubeconfigOf({ cluster: { server: 'http://10.0.0.1' }, user: {} }),
      /^cannot use API server "http:\/\/10.0.0.1": its connections are not encrypted; .* insecure-skip-tls-verify/,
    ],
  ])('refuses %s, and shows nothing of what it holds', async (_what, content, message) => {
    const path = join(folder, `${crypto.randomUUID()}.kubeconfig`);
    if (content !== undefined) await writeFile(path, content);
    const opening = openClusterAccess({ kubeconfig: path });
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.not.toThrow('secret');
  });

  it('joins several files as kubectl does', async () => {
    const server = await startStandIn({ folder, answer: status(200, { fine: true }) });
    opened.push(server);
    const other = join(folder, 'other.kubeconfig');
    await writeFile(other, '{"clusters":[],"users":[],"contexts":[]}');
    const client = await clientOf(`${server.kubeconfig}:${other}`);
    opened.push(client);
    expect(await client.call({ method: 'GET', path: '/' })).toEqual({ fine: true });
  });

  it('keeps to itself what a credential plugin says', async () => {
    const path = join(folder, 'plugin.kubeconfig');
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: 'sh',
      args: ['-c', 'echo secret-of-the-plugin; echo secret-of-the-plugin >&2; exit 1'],
      interactiveMode: 'Never',
    };
    await writeFile(path, kubeconfigOf({ cluster: { server: 'https://127.0.0.1:1' }, user: { exec } }));
    const client = await clientOf(path);
    opened.push(client);
    const failure = await failureOf(client.call({ method: 'GET', path: '/' }));
    expect(failure.kind).toBe('refused');
    expect(JSON.stringify([failure.message, failure.stack, failure.cause])).not.toContain('secret-of');
  });
});
