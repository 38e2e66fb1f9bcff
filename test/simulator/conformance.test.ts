import { describe, expect, it } from 'vitest';
import { openApiOperations } from '../../src/simulator/openapi-operations.ts';
import { operations } from '../../src/simulator/operations.ts';
import { expectConformance } from './support/conformance.ts';
import { createTenant, createVirtualFly, sleepyService } from './support/virtual-fly.ts';

/** Fills the placeholders of a path of the document. */
function concrete(path: string): string {
  return path.replace(/\{[^}]+\}/g, 'x');
}

describe('what is simulated', () => {
  it('answers every simulated operation once with success, each as the OpenAPI document has it', () => {
    const fly = createVirtualFly();
    const { app, base, machine, volume } = createTenant(fly, { config: { services: [sleepyService] } });
    const at = `/v1/apps/${app}`;
    const nonce = 'fly-machine-lease-nonce';
    const walk: [string, string, unknown?][] = [
      ['GET', '/v1/apps?org_slug=systemprompt'],
      ['GET', at],
      ['POST', `${at}/deploy_token`, { expiry: '1h' }],
      ['POST', `${at}/ip_assignments`, { type: 'shared_v4' }],
      ['POST', `${at}/ip_assignments`, { type: 'v6' }],
      ['GET', `${at}/ip_assignments`],
      ['POST', `${at}/certificates/acme`, { hostname: 'one.example.com' }],
      ['GET', `${at}/certificates`],
      ['GET', `${at}/certificates/one.example.com`],
      ['POST', `${at}/certificates/one.example.com/check`],
      ['DELETE', `${at}/certificates/one.example.com`],
      ['POST', `${at}/secrets`, { values: { A: '1', B: null } }],
      ['GET', `${at}/secrets`],
      ['POST', `${at}/secrets/C`, { value: '3' }],
      ['GET', `${at}/secrets/C`],
      ['DELETE', `${at}/secrets/C`],
      ['GET', `${at}/machines`],
      ['GET', `${at}/machines?summary=true`],
      ['GET', base],
      ['GET', `${base}/events`],
      ['GET', `${base}/versions`],
      ['GET', `${base}/wait?state=started`],
      ['PATCH', `${base}/metadata`, { metadata: { a: '1' } }],
      ['GET', `${base}/metadata`],
      ['POST', `${base}/metadata/b`, { value: '2' }],
      ['GET', `${base}/metadata/b`],
      ['DELETE', `${base}/metadata/b`],
      ['POST', `${base}/cordon`],
      ['POST', `${base}/uncordon`],
      ['POST', `${base}/restart`],
      ['GET', `${base}/wait?state=started`],
      ['POST', `${base}/suspend`],
      ['GET', `${base}/wait?state=suspended`],
      ['POST', `${base}/start`],
      ['GET', `${base}/wait?state=started`],
      ['POST', `${base}/stop`],
      ['GET', `${at}/volumes`],
      ['GET', `${at}/volumes/${volume}`],
      ['PUT', `${at}/volumes/${volume}`, { snapshot_retention: 7 }],
      ['PUT', `${at}/volumes/${volume}/extend`, { size_gb: 2 }],
      ['GET', '/v1/orgs/systemprompt/machines'],
      ['GET', '/v1/orgs/systemprompt/volumes'],
      ['GET', '/v1/platform/regions'],
      ['GET', '/v1/tokens/current'],
    ];
    for (const [method, path, body] of walk) {
      const { status, json } = fly.call(method, path, body);
      expect([method, path, status, json?.error]).toEqual([
        method,
        path,
        expect.toSatisfy((code: number) => code < 300),
        undefined,
      ]);
    }
    const lease = fly.call('POST', `${base}/lease`, { ttl: 30 });
    fly.call('GET', `${base}/lease`);
    fly.call('DELETE', `${base}/lease`, undefined, { [nonce]: String(lease.json.data.nonce) });
    fly.call('POST', base, {
      config: { ...fly.call('GET', base).json.config, env: { A: '1' } },
      skip_launch: true,
    });
    fly.call('DELETE', base);
    fly.pass(1);
    fly.call('DELETE', `${at}/volumes/${volume}`);
    const ip = String(fly.call('GET', `${at}/ip_assignments`).json.ips[0].ip);
    fly.call('DELETE', `${at}/ip_assignments/${encodeURIComponent(ip)}`);
    fly.call('DELETE', at);

    const succeeded = Object.entries(fly.world.calls.counters())
      .filter(([, statuses]) => Object.keys(statuses).some((status) => Number(status) < 300))
      .map(([operation]) => operation);
    expect(machine).toMatch(/^[0-9a-f]{14}$/);
    expect(Object.keys(operations).filter((operation) => !succeeded.includes(operation))).toEqual([]);
  });

  it('names only operations that Fly has', () => {
    const known = new Set(openApiOperations.map(([, , operation]) => operation));
    expect(Object.keys(operations).filter((operation) => !known.has(operation))).toEqual([]);
  });
});

describe('what is not simulated', () => {
  const lacking = openApiOperations.filter(([, , operation]) => !(operation in operations));

  it.each(lacking)('%s %s answers 501 with its name (%s)', (method, path, operation) => {
    const { status, json } = createVirtualFly().call(method, concrete(path));
    expect({ status, json }).toEqual({ status: 501, json: { error: `not simulated: ${operation}` } });
  });

  it('answers 404 to a path that Fly does not have', () => {
    expect(createVirtualFly().call('GET', '/v1/nonsense').status).toBe(404);
  });
});

describe('what every answer has', () => {
  it('carries a request id of a ULID and a region', () => {
    const fly = createVirtualFly();
    const ids = ['/v1/platform/regions', '/v1/nonsense', '/v1/apps/none'].map(
      (path) => fly.call('GET', path).headers['fly-request-id'],
    );
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}-iad$/);
  });

  it('refuses a call without a credential, and takes any', () => {
    const fly = createVirtualFly();
    expect(fly.call('GET', '/v1/platform/regions', undefined, { authorization: '' }).status).toBe(401);
    for (const authorization of ['Bearer a', 'FlyV1 fm2_b', 'Basic eDp0']) {
      expect(fly.call('GET', '/v1/platform/regions', undefined, { authorization }).status).toBe(200);
    }
  });
});

describe('the check itself', () => {
  it('refuses a field that Fly does not have', () => {
    expect(() => expectConformance('Apps_show', 200, { id: 'a', invented: true })).toThrow(
      /invented|additional/,
    );
  });

  it('refuses a status that the operation never answers', () => {
    expect(() => expectConformance('Apps_show', 299, {})).toThrow('never answers 299');
  });
});
