import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../src/config.ts';

const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgresql://localhost/landlord',
  FLY_API_TOKEN: 'token',
  FLY_ORG_SLUG: 'org',
  FLY_SHARED_REGISTRY_APP: 'images',
  FLY_SUBDOMAIN_SUFFIX: 'tenants.example.com',
  LANDLORD_PUBLIC_URL: 'https://landlord.example.com',
  LANDLORD_ENCRYPTION_KEYS: `one:${Buffer.alloc(32).toString('base64')}`,
  JWT_SECRET: 'x'.repeat(32),
};
const CERT = 'LANDLORD_KUBECTL_TLS_CERT_FILE';
const KEY = 'LANDLORD_KUBECTL_TLS_KEY_FILE';

const kubectl = (environment: Record<string, string>) => readConfig(environment, '/srv').kubectl;
const problems = (environment: Record<string, string>): readonly string[] => {
  try {
    readConfig(environment, '/srv');
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
};

describe('the door for kubectl', () => {
  it.each([
    ['is open in development', {}, { port: 8443, tlsFiles: undefined }],
    ['takes another port', { LANDLORD_KUBECTL_PORT: '9443' }, { port: 9443, tlsFiles: undefined }],
    ['takes any free port', { LANDLORD_KUBECTL_PORT: '0' }, { port: 0, tlsFiles: undefined }],
    ['can be shut', { LANDLORD_KUBECTL_PORT: 'off' }, undefined],
    ['is shut in production', PRODUCTION, undefined],
    [
      'is open in production with a certificate',
      { ...PRODUCTION, [CERT]: 'tls/cert.pem', [KEY]: '/etc/key.pem' },
      { port: 8443, tlsFiles: { cert: '/srv/tls/cert.pem', key: '/etc/key.pem' } },
    ],
    [
      'can be shut in spite of a certificate',
      { ...PRODUCTION, [CERT]: 'c', [KEY]: 'k', LANDLORD_KUBECTL_PORT: 'off' },
      undefined,
    ],
  ])('%s', (_name, environment, want) => {
    expect(kubectl(environment)).toEqual(want);
  });

  it.each([
    [{ LANDLORD_KUBECTL_PORT: 'on' }, ['LANDLORD_KUBECTL_PORT: must be a port, or off']],
    [{ [CERT]: 'c' }, [`${KEY}: must be set together with the other file`]],
    [{ [KEY]: 'k' }, [`${CERT}: must be set together with the other file`]],
    [
      { ...PRODUCTION, LANDLORD_KUBECTL_PORT: '8443' },
      [CERT, KEY].map((name) => `${name}: must be set in production when LANDLORD_KUBECTL_PORT is`),
    ],
  ])('with %j is refused', (environment, want) => {
    expect(problems(environment)).toEqual(want);
  });
});

describe('where tenants live', () => {
  const storeOf = (environment: Record<string, string>) => readConfig(environment, '/').store;

  it('is PostgreSQL unless said otherwise, whatever else kubectl uses', () => {
    expect(storeOf({})).toEqual({ kind: 'postgres' });
    expect(storeOf({ KUBECONFIG: '/a', KUBERNETES_SERVICE_HOST: '10.0.0.1' })).toEqual({ kind: 'postgres' });
  });

  it('is the cluster that KUBECONFIG names, also inside of another one', () => {
    const inside = { LANDLORD_STORE: 'kubernetes', KUBERNETES_SERVICE_HOST: '10.0.0.1' };
    expect(storeOf({ ...inside, KUBECONFIG: '/a:/b' })).toEqual({ kind: 'kubernetes', kubeconfig: '/a:/b' });
    expect(storeOf({ ...inside, KUBECONFIG: '' })).toEqual({ kind: 'kubernetes', kubeconfig: undefined });
  });

  it('is never a cluster that nobody named', () => {
    const read = () => storeOf({ LANDLORD_STORE: 'kubernetes', HOME: '/root' });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow('KUBECONFIG: must be set when LANDLORD_STORE is kubernetes, unless in a cluster');
    expect(() => storeOf({ LANDLORD_STORE: 'etcd' })).toThrow('LANDLORD_STORE');
  });
});
