import { describe, expect, it } from 'vitest';
import { machineEnvironment } from '../../src/tenant/environment.ts';
import { RESERVED_ENV } from '../../src/tenant/schema.ts';
import { tenantOf, UID } from './documents.ts';

const HOSTNAME = `${UID}.systemprompt.app`;

describe('the environment of a machine', () => {
  it('tells the tenant who it is and where it is reached', () => {
    expect(machineEnvironment(tenantOf(), HOSTNAME)).toMatchObject({
      TENANT_ID: UID,
      TENANT_NAME: 'my-project',
      API_EXTERNAL_URL: `https://${HOSTNAME}`,
      HOST: '0.0.0.0',
      PORT: '8080',
    });
  });

  it('carries what the owner has set, also over what is merely a default', () => {
    const env = { RUST_LOG: 'debug', GREETING: 'hello' };
    expect(machineEnvironment(tenantOf({ env }), HOSTNAME)).toMatchObject(env);
  });

  it('refuses to let the owner set what it would then overrule', () => {
    const plain = machineEnvironment(tenantOf(), HOSTNAME);
    const overruled = Object.keys(plain).filter((name) => {
      const tenant = { ...tenantOf(), spec: { ...tenantOf().spec, env: { [name]: 'mine' } } };
      return machineEnvironment(tenant, HOSTNAME)[name] !== 'mine';
    });
    expect(RESERVED_ENV).toEqual(expect.arrayContaining(overruled));
    expect(overruled).toContain('API_SERVER_URL');
  });

  it('holds no secret: those reach the machine by another way', () => {
    const names = Object.keys(machineEnvironment(tenantOf(), HOSTNAME));
    expect(names).not.toContain('DATABASE_URL');
    expect(names).not.toContain('JWT_SECRET');
  });

  it('looks the same when it is the same: sorted by name', () => {
    const one = machineEnvironment(tenantOf({ env: { A: '1', B: '2' } }), HOSTNAME);
    const other = machineEnvironment(tenantOf({ env: { B: '2', A: '1' } }), HOSTNAME);
    expect(JSON.stringify(one)).toBe(JSON.stringify(other));
    expect(Object.keys(one)).toEqual(Object.keys(one).toSorted());
  });
});
