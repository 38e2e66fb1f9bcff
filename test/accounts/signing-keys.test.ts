/** Do keys change without anybody's token failing, and stay secret at rest? On a real database. */
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SIGNING_PERIOD_MS } from '../../src/accounts/key-schedule.ts';
import { createSigningKeys } from '../../src/accounts/signing-keys.ts';
import { createTokenIssuer, SESSION_LIFETIME_MS } from '../../src/accounts/tokens.ts';
import { createSealer } from '../../src/vault/seal.ts';
import { captureLog } from '../support/captured-log.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

const DAY_MS = 86_400_000;
const OLD = { id: 'old', key: new Uint8Array(32).fill(1) };
const NEW = { id: 'new', key: new Uint8Array(32).fill(2) };

let testDatabase: TestDatabase;
let clock: FakeClock;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
beforeEach(async () => {
  clock = createFakeClock();
  await testDatabase.query('DELETE FROM signing_keys');
});
afterAll(() => testDatabase.drop());

const keysOf = (encryptionKeys = [OLD], log = silentLog()) =>
  createSigningKeys({ database: testDatabase.database, sealer: createSealer(encryptionKeys), clock, log });
const issuerOf = (keys: ReturnType<typeof keysOf>) =>
  createTokenIssuer({ keys, issuer: () => 'https://landlord.example', clock });
const sessionOf = (keys: ReturnType<typeof keysOf>, expiresAt = clock.now() + SESSION_LIFETIME_MS) =>
  issuerOf(keys).session({ subject: 'operator', role: 'operator' }, expiresAt);
const kidOf = (token: string): string => decodeProtectedHeader(token).kid ?? '';

describe('signing keys', () => {
  it('are one for all replicas that start at once', async () => {
    const tokens = await Promise.all(Array.from({ length: 4 }, () => sessionOf(keysOf())));
    expect(new Set(tokens.map(kidOf)).size).toBe(1);
    expect(await testDatabase.query('SELECT kid FROM signing_keys')).toHaveLength(1);
  });

  it('are verified by anybody with the published set, which holds no private part', async () => {
    const keys = keysOf();
    const token = await sessionOf(keys);
    const published = await keys.published();
    expect(published.keys.map((key) => Object.keys(key).sort())).toEqual([
      ['alg', 'e', 'kid', 'kty', 'n', 'use'],
    ]);
    const verified = await jwtVerify(token, createLocalJWKSet({ keys: [...published.keys] }), {
      issuer: 'https://landlord.example',
      audience: 'https://landlord.example',
      currentDate: new Date(clock.now()),
    });
    expect(verified.payload.sub).toBe('operator');
  });

  it('change every month; a token verifies until it expires, and not its key for ever', async () => {
    const keys = keysOf();
    const token = await sessionOf(keys);
    clock.step(SIGNING_PERIOD_MS - DAY_MS);
    expect((await keys.published()).keys).toHaveLength(2);
    expect(kidOf(await sessionOf(keys))).toBe(kidOf(token));
    clock.step(DAY_MS);
    const next = await sessionOf(keys);
    expect(kidOf(next)).not.toBe(kidOf(token));
    expect(await keys.verifier(kidOf(token))).toBeDefined();
    clock.step(SESSION_LIFETIME_MS);
    expect(await keys.verifier(kidOf(token))).toBeUndefined();
    expect(await keys.verifier(kidOf(next))).toBeDefined();
  });

  it('that another replica has just made are known at once', async () => {
    const [mine, theirs] = [keysOf(), keysOf()];
    await mine.signer();
    await testDatabase.query('DELETE FROM signing_keys');
    const token = await sessionOf(theirs);
    clock.step(5_000);
    expect(await mine.verifier(kidOf(token))).toBeDefined();
  });

  it('are not asked of the database for every made-up id', async () => {
    const keys = keysOf();
    await keys.signer();
    await testDatabase.query('ALTER TABLE signing_keys RENAME TO signing_keys_away');
    try {
      expect(await keys.verifier('made-up')).toBeUndefined();
    } finally {
      await testDatabase.query('ALTER TABLE signing_keys_away RENAME TO signing_keys');
    }
  });

  it('are sealed at rest', async () => {
    await keysOf().signer();
    const [row] = await testDatabase.query<{ private_jwe: string; public_jwk: object }>(
      'SELECT * FROM signing_keys',
    );
    expect(row?.private_jwe.split('.')).toHaveLength(5);
    expect(Object.keys(row?.public_jwk ?? {}).sort()).toEqual(['e', 'kty', 'n']);
  });

  it('whose encryption key was dropped go on verifying, while a new one signs', async () => {
    const token = await sessionOf(keysOf([OLD]));
    const { log, lines } = captureLog();
    const after = keysOf([NEW], log);
    const next = await sessionOf(after);
    expect(kidOf(next)).not.toBe(kidOf(token));
    expect(await after.verifier(kidOf(token))).toBeDefined();
    expect(lines().map(({ msg }) => msg)).toContainEqual(
      expect.stringContaining('its key "old" is not among LANDLORD_ENCRYPTION_KEYS'),
    );
  });

  it('sign nothing that would outlive them', async () => {
    expect(() => sessionOf(keysOf(), clock.now() + SESSION_LIFETIME_MS + 1)).toThrow(RangeError);
  });
});
