import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../src/config.ts';

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
