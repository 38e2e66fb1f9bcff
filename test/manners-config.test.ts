/** Are the variables about callers read as the README says, and refused where they say nothing? */
import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../src/config.ts';

const manners = (environment: NodeJS.ProcessEnv) => readConfig(environment, '/nowhere').manners;

function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(environment, '/nowhere');
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('without any variable', () => {
  it('no proxy is trusted, no other origin may read, and requests stay in PostgreSQL', () => {
    const { trustsProxy, corsOrigins, openSearch } = manners({});
    expect([trustsProxy('127.0.0.1'), corsOrigins, openSearch]).toEqual([false, [], undefined]);
  });
});

describe('trusted proxies', () => {
  it('are addresses and networks of both families, also where a socket shows one as the other', () => {
    const { trustsProxy } = manners({ LANDLORD_TRUSTED_PROXIES: '10.0.0.0/8, 192.0.2.1,fd00::/8' });
    expect(
      ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.1', 'fd12::1', '192.0.2.2', '11.0.0.1', '::1', ''].map(
        trustsProxy,
      ),
    ).toEqual([true, true, true, true, false, false, false, false]);
  });

  it('are refused where they are none', () => {
    for (const wrong of ['proxy.example.com', '10.0.0.0/33', '10.0.0.0/x', '::1/129', '1.2.3.4,'])
      expect(problemsOf({ LANDLORD_TRUSTED_PROXIES: wrong })).toEqual([
        'LANDLORD_TRUSTED_PROXIES: must be addresses or networks such as 10.0.0.0/8,fd00::1',
      ]);
  });
});

describe('origins', () => {
  it('are scheme and host, and nothing behind them', () => {
    expect(
      manners({ LANDLORD_CORS_ORIGINS: 'https://a.example.com, http://localhost:3000' }).corsOrigins,
    ).toEqual(['https://a.example.com', 'http://localhost:3000']);
    for (const wrong of ['*', 'a.example.com', 'https://a.example.com/', 'null'])
      expect(problemsOf({ LANDLORD_CORS_ORIGINS: wrong })).toHaveLength(1);
  });
});

describe('OpenSearch', () => {
  it('is reached over TLS unless it is said otherwise, with a user only when there is to be one', () => {
    expect(manners({ OPENSEARCH_HOST: 'search' }).openSearch).toEqual({ url: 'https://search:9200' });
    expect(
      manners({
        OPENSEARCH_HOST: 'search',
        OPENSEARCH_PORT: '9201',
        OPENSEARCH_USE_SSL: 'false',
        OPENSEARCH_AUTH_TYPE: 'basic',
        OPENSEARCH_USERNAME: 'user',
        OPENSEARCH_PASSWORD: 'pass',
      }).openSearch,
    ).toEqual({ url: 'http://search:9201', credentials: { username: 'user', password: 'pass' } });
  });

  it('is refused half-configured', () => {
    expect(problemsOf({ OPENSEARCH_HOST: 'search', OPENSEARCH_AUTH_TYPE: 'basic' })).toHaveLength(2);
    expect(problemsOf({ OPENSEARCH_HOST: 'search', OPENSEARCH_PASSWORD: 'pass' })).toEqual([
      'OPENSEARCH_PASSWORD: must be set together with OPENSEARCH_AUTH_TYPE=basic, and only then',
    ]);
  });
});
