import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appName, databaseName, hostname, imageTag, internalHostname } from '../../src/tenant/names.ts';
import { UID } from './documents.ts';

describe('the names of a tenant’s things', () => {
  it('are derived from its uid and from nothing else', () => {
    expect(appName(UID)).toBe(`sp-${UID}`);
    expect(hostname(UID, 'systemprompt.app')).toBe(`${UID}.systemprompt.app`);
    expect(internalHostname(appName(UID))).toBe(`sp-${UID}.internal`);
    expect(databaseName(UID)).toBe('sp_1b4e28ba_2fa1_41d2_883f_0016d3cca427');
    expect(imageTag(UID)).toBe(`tenant-${UID}`);
  });

  it('keep to the rules of where they are used', () => {
    fc.assert(
      fc.property(fc.uuid(), (uid) => {
        expect(appName(uid)).toMatch(/^[a-z][-a-z0-9]{0,61}[a-z0-9]$/);
        expect(hostname(uid, 'systemprompt.app').split('.')[0]!.length).toBeLessThanOrEqual(63);
        // PostgreSQL cuts longer names off without a word, and then two tenants could share one.
        expect(databaseName(uid)).toMatch(/^[a-z_][a-z0-9_]{0,62}$/);
        expect(imageTag(uid)).toMatch(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/);
      }),
    );
  });

  it('differ for different tenants', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.uuid(), { minLength: 2, maxLength: 2 }), ([one, other]) => {
        for (const nameOf of [appName, databaseName, imageTag]) expect(nameOf(one!)).not.toBe(nameOf(other!));
      }),
    );
  });
});
