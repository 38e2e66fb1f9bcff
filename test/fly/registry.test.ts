import { afterEach, describe, expect, test } from 'vitest';
import type { Fly } from '../../src/fly/fly.ts';
import { createTestFly, failureOf, TOKEN, verdictOf } from './support/client.ts';
import { send, startServer, type Answer, type TestServer } from './support/server.ts';

const signal = new AbortController().signal;
const DIGEST = `sha256:${'a'.repeat(64)}`;
const BASIC = `Basic ${Buffer.from(`x:${TOKEN}`).toString('base64')}`;
const image = { registry: 'registry.fly.io', repository: 'images/web', reference: 'v1' };

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function setUp(answer: Answer): Promise<{ fly: Fly; server: TestServer }> {
  const server = await startServer(answer);
  const fly = createTestFly(server.url);
  opened.push(server, fly);
  return { fly, server };
}

const found: Answer = (_, response) => {
  response.writeHead(200, { 'docker-content-digest': DIGEST }).end();
};

/** A registry that takes only the tokens of its own token service. */
function challenging(realm: (host: string) => string): Answer {
  return (request, response) => {
    if (request.url.startsWith('/token')) {
      if (request.headers.authorization === BASIC) send(response, 200, { token: 'short-lived' });
      else send(response, 401, { details: 'who are you' });
    } else if (request.headers.authorization === 'Bearer short-lived') found(request, response);
    else {
      const where = `Bearer realm="${realm(request.headers.host ?? '')}",service="registry",scope="repository:images/web:pull"`;
      send(response, 401, undefined, { 'www-authenticate': where });
    }
  };
}

describe('an image', () => {
  test('is resolved with the token as Basic credentials and every kind of manifest accepted', async () => {
    const { fly, server } = await setUp(found);
    expect(await fly.registry.resolve(image, signal)).toBe(DIGEST);
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toMatchObject({
      method: 'HEAD',
      url: '/v2/images/web/manifests/v1',
      headers: { authorization: BASIC },
    });
    const accepted = server.requests[0]?.headers.accept ?? '';
    for (const kind of ['image.index.v1', 'image.manifest.v1', 'manifest.list.v2', 'manifest.v2'])
      expect(accepted).toContain(kind);
  });

  test('is resolved through the token service when the registry asks for it', async () => {
    const { fly, server } = await setUp(challenging((host) => `http://${host}/token?account=x`));
    expect(await fly.registry.resolve(image, signal)).toBe(DIGEST);
    expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'HEAD /v2/images/web/manifests/v1',
      'GET /token?account=x&service=registry&scope=repository%3Aimages%2Fweb%3Apull',
      'HEAD /v2/images/web/manifests/v1',
    ]);
  });

  test.each([
    { name: 'at another site', realm: () => 'http://evil.example/token' },
    {
      name: 'without TLS though the registry has it, or the other way round',
      realm: (h: string) => `https://${h}/token`,
    },
    { name: 'that is no address', realm: () => 'token' },
  ])('does not show our credentials to a token service $name', async ({ realm }) => {
    const { fly, server } = await setUp(challenging(realm));
    const error = await failureOf(fly.registry.resolve(image, signal));
    expect(verdictOf(error)).toEqual({ kind: 'transient', reason: 'Unauthorized', ambiguous: false });
    expect(server.requests).toHaveLength(1);
  });

  test('of a registry that refuses us says so', async () => {
    const { fly, server } = await setUp((_, response) =>
      send(response, 401, undefined, { 'www-authenticate': 'Basic' }),
    );
    const error = await failureOf(fly.registry.resolve(image, signal));
    expect(error.message).toBe('cannot resolve image "registry.fly.io/images/web:v1": Fly answered 401');
    expect(server.requests).toHaveLength(1);
  });

  test('that the registry does not know is undefined', async () => {
    const { fly } = await setUp((_, response) => send(response, 404));
    expect(await fly.registry.resolve(image, signal)).toBeUndefined();
  });

  test('may be asked for by its digest, and must then be that', async () => {
    const { fly } = await setUp(found);
    expect(await fly.registry.resolve({ ...image, reference: DIGEST }, signal)).toBe(DIGEST);
    const other = `sha256:${'b'.repeat(64)}`;
    const error = await failureOf(fly.registry.resolve({ ...image, reference: other }, signal));
    expect(error.reason).toBe('FlyUnintelligible');
  });

  test.each([{}, { 'docker-content-digest': 'sha256:short' }])(
    'without a proper digest is not believed: %j',
    async (headers) => {
      const { fly } = await setUp((_, response) => {
        response.writeHead(200, headers).end();
      });
      expect(await failureOf(fly.registry.resolve(image, signal))).toMatchObject({
        reason: 'FlyUnintelligible',
      });
    },
  );

  test('of another registry is refused without asking, for our token must not go there', async () => {
    const { fly, server } = await setUp(found);
    const error = await failureOf(fly.registry.resolve({ ...image, registry: 'docker.io' }, signal));
    expect(verdictOf(error)).toEqual({ kind: 'terminal', reason: 'BadRequest', ambiguous: false });
    expect(error.message).toBe(
      'cannot resolve image "docker.io/images/web:v1": only images of registry.fly.io can be resolved',
    );
    expect(server.requests).toHaveLength(0);
  });
});

describe('a manifest', () => {
  test.each([202, 404, 405])('is deleted by its digest; %d is success', async (status) => {
    const { fly, server } = await setUp((_, response) => send(response, status));
    await fly.registry.deleteManifest({ repository: 'images', digest: DIGEST }, signal);
    expect(server.requests[0]).toMatchObject({ method: 'DELETE', url: `/v2/images/manifests/${DIGEST}` });
  });

  test('that may not be deleted stays, and that is said', async () => {
    const { fly } = await setUp((_, response) => send(response, 403));
    const error = await failureOf(
      fly.registry.deleteManifest({ repository: 'images', digest: DIGEST }, signal),
    );
    expect(error).toMatchObject({ kind: 'terminal', reason: 'Forbidden', ambiguous: false });
  });
});
