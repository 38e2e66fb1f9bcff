import { randomBytes, randomUUID } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createVault, type PostgresVault } from '../../src/vault/postgres-vault.ts';
import { LINK_TOKEN_PATTERN } from '../../src/vault/links.ts';
import { VaultError } from '../../src/vault/seal.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const keyA = { id: 'a', key: randomBytes(32) };
const keyB = { id: 'b', key: randomBytes(32) };
const clock = createFakeClock();

describe('the vault', () => {
  let database: TestDatabase;
  let vault: PostgresVault;
  let uid: string;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  beforeEach(() => {
    uid = randomUUID();
    vault = createVault({ database: database.database, keys: [keyA], clock });
  });
  afterAll(() => database.drop());

  const rowsOf = (tenant: string) =>
    database.query<{ name: string; key_id: string; ciphertext: string }>(
      'SELECT name, key_id, ciphertext FROM vault_secrets WHERE uid = $1 ORDER BY name',
      [tenant],
    );

  it('knows nothing of a tenant before something was generated for it', async () => {
    expect(await vault.describe(uid)).toBeUndefined();
    expect(await vault.reveal(uid)).toBeUndefined();
    await vault.forget(uid);
    await vault.recordApplied(uid, { revision: 1, version: 1, digests: {} });
    expect(await vault.describe(uid)).toBeUndefined();
  });

  it('generates a password and a secret once, also when many ask at once', async () => {
    const states = await Promise.all(Array.from({ length: 8 }, () => vault.generate(uid)));
    expect(new Set(states.map((state) => JSON.stringify(state)))).toEqual(
      new Set([JSON.stringify({ revision: 1, names: ['JWT_SECRET'], passwordRevision: 1 })]),
    );
    const revealed = await vault.reveal(uid);
    expect(revealed?.databasePassword).toMatch(/^[\w-]{32}$/);
    expect(revealed?.values['JWT_SECRET']).toMatch(/^[\w-]{64}$/);
    await vault.generate(uid);
    expect(await vault.reveal(uid)).toEqual(revealed);
  });

  it('counts a revision for each change of the secrets, and none for a change that is none', async () => {
    await vault.generate(uid);
    const set = await vault.set(uid, { API_KEY: 'one', TOKEN: 'häß ☃', GONE: null });
    expect(set).toEqual({ revision: 2, names: ['API_KEY', 'JWT_SECRET', 'TOKEN'], passwordRevision: 1 });
    expect(await vault.set(uid, { API_KEY: 'one' })).toEqual(set);
    expect(await vault.set(uid, {})).toEqual(set);
    const changed = await vault.set(uid, { API_KEY: 'two', TOKEN: null, EMPTY: '' });
    expect(changed).toEqual({ revision: 3, names: ['API_KEY', 'EMPTY', 'JWT_SECRET'], passwordRevision: 1 });
    expect(await vault.reveal(uid)).toMatchObject({ revision: 3, values: { API_KEY: 'two', EMPTY: '' } });
  });

  it('generates what is missing when secrets are set first', async () => {
    const state = await vault.set(uid, { API_KEY: 'one' });
    expect(state).toEqual({ revision: 1, names: ['API_KEY', 'JWT_SECRET'], passwordRevision: 1 });
    expect(await vault.generate(uid)).toEqual(state);
  });

  it('loses no change when many are made at once', async () => {
    await vault.generate(uid);
    const names = Array.from({ length: 12 }, (_, index) => `KEY_${index}`);
    await Promise.all(names.map((name) => vault.set(uid, { [name]: name })));
    const state = await vault.describe(uid);
    expect(state?.revision).toBe(13);
    expect(state?.names).toHaveLength(13);
  });

  it.each([
    ['JWT_SECRET', 'cannot set secret "JWT_SECRET": Landlord sets it itself'],
    ['DATABASE_URL', 'cannot set secret "DATABASE_URL": Landlord sets it itself'],
    ['not a name', 'cannot set secret "not a name": that is not the name of a variable'],
    ['', 'cannot set secret "": that is not the name of a variable'],
  ])('refuses to set "%s", and then sets nothing', async (name, message) => {
    await vault.generate(uid);
    await expect(vault.set(uid, { FINE: 'x', [name]: 'y' })).rejects.toThrow(message);
    expect(await vault.describe(uid)).toMatchObject({ revision: 1, names: ['JWT_SECRET'] });
  });

  it('is bounded', async () => {
    const many = Object.fromEntries(Array.from({ length: 201 }, (_, index) => [`KEY_${index}`, 'x']));
    await expect(vault.set(uid, many)).rejects.toThrow('a tenant may not have more than 200');
  });

  it('rotates the password once for each newer request, and for no older one', async () => {
    await vault.generate(uid);
    const before = await vault.reveal(uid);
    const requestedAt = '2026-01-02T03:04:05+01:00';
    const rotated = await vault.rotate(uid, requestedAt);
    expect(rotated).toEqual({
      revision: 2,
      names: ['JWT_SECRET'],
      passwordRevision: 2,
      rotatedAt: requestedAt,
    });
    const after = await vault.reveal(uid);
    expect(after?.databasePassword).toMatch(/^[\w-]{32}$/);
    expect(after?.databasePassword).not.toBe(before?.databasePassword);
    expect(after?.values).toEqual(before?.values);
    for (const served of [requestedAt, '2026-01-02T02:04:05.000Z', '2025-01-01T00:00:00Z'])
      expect(await vault.rotate(uid, served)).toEqual(rotated);
    expect(await vault.rotate(uid, '2026-01-02T03:04:06+01:00')).toMatchObject({ passwordRevision: 3 });
  });

  it('remembers what was applied, and is not set back by a slow writer', async () => {
    await vault.generate(uid);
    const newer = { revision: 2, version: 7, digests: { JWT_SECRET: 'd2' } };
    await vault.recordApplied(uid, newer);
    await vault.recordApplied(uid, { revision: 1, version: 6, digests: {} });
    expect((await vault.describe(uid))?.applied).toEqual(newer);
    const again = { ...newer, version: 8 };
    await vault.recordApplied(uid, again);
    expect((await vault.describe(uid))?.applied).toEqual(again);
  });

  it('forgets everything of one tenant and nothing of another', async () => {
    const other = randomUUID();
    await vault.set(uid, { API_KEY: 'one' });
    await vault.set(other, { API_KEY: 'two' });
    await vault.forget(uid);
    expect(await rowsOf(uid)).toEqual([]);
    expect(await vault.describe(uid)).toBeUndefined();
    expect((await vault.reveal(other))?.values['API_KEY']).toBe('two');
  });

  it('wakes who listens with the uid of the tenant whose owner changed secrets, and for nothing else', async () => {
    const woken: string[] = [];
    const stop = vault.onChange((tenant) => void woken.push(tenant));
    try {
      const probe = randomUUID();
      // The listener is in place once it hears of anything.
      await eventually(
        async () => {
          await vault.set(probe, { PROBE: String(woken.length + Math.random()) });
          return woken.includes(probe);
        },
        { what: 'the listener to be in place' },
      );
      await vault.set(uid, { API_KEY: 'one' });
      await vault.set(uid, { API_KEY: 'one' });
      await vault.rotate(uid, '2026-01-02T00:00:00Z');
      await vault.generate(randomUUID());
      const last = randomUUID();
      await vault.set(last, { API_KEY: 'one' });
      await eventually(() => woken.includes(last), { what: 'the last change to be heard of' });
      expect(woken.filter((tenant) => tenant !== probe)).toEqual([uid, last]);
    } finally {
      stop();
    }
  });

  describe('the credentials link', () => {
    it('is there with the first password, reads the same until it is used, and opens once', async () => {
      expect(await vault.link(uid)).toBeUndefined();
      await vault.set(uid, { API_KEY: 'one' });
      const token = (await vault.link(uid))!;
      expect(token).toMatch(LINK_TOKEN_PATTERN);
      expect(await vault.link(uid)).toBe(token);
      expect(await vault.redeem(uid, token)).toEqual(await vault.reveal(uid));
      expect(await vault.link(uid)).toBeUndefined();
      expect(await vault.redeem(uid, token)).toBeUndefined();
    });

    it('opens for one of many who use it at the same time', async () => {
      await vault.generate(uid);
      const token = (await vault.link(uid))!;
      const opened = await Promise.all(Array.from({ length: 8 }, () => vault.redeem(uid, token)));
      expect(opened.filter((secrets) => secrets !== undefined)).toHaveLength(1);
    });

    it('of one tenant does not open those of another, and survives the attempt', async () => {
      const other = randomUUID();
      await vault.generate(uid);
      await vault.generate(other);
      const token = (await vault.link(uid))!;
      expect(await vault.redeem(other, token)).toBeUndefined();
      expect(await vault.redeem(uid, token)).toBeDefined();
    });

    it('is replaced by a new one with each new password, and the old one is dead', async () => {
      await vault.generate(uid);
      const old = (await vault.link(uid))!;
      await vault.rotate(uid, '2026-01-02T00:00:00Z');
      const token = (await vault.link(uid))!;
      expect(token).not.toBe(old);
      expect(await vault.redeem(uid, old)).toBeUndefined();
      expect((await vault.redeem(uid, token))?.passwordRevision).toBe(2);
    });

    it('is nowhere in the database, and neither can it be made without an encryption key', async () => {
      await vault.generate(uid);
      const token = (await vault.link(uid))!;
      const rows = await database.query(
        'SELECT *, token_hash::text AS hash FROM vault_links WHERE uid = $1',
        [uid],
      );
      expect(rows).toHaveLength(1);
      expect(JSON.stringify(rows)).not.toContain(token);
      const stranger = createVault({
        database: database.database,
        keys: [{ id: 'a', key: randomBytes(32) }],
        clock,
      });
      expect(await stranger.redeem(uid, (await stranger.link(uid))!)).toBeUndefined();
    });

    it('shown before its key was dropped still opens; until then another one is shown', async () => {
      await vault.generate(uid);
      const shown = (await vault.link(uid))!;
      const both = createVault({ database: database.database, keys: [keyB, keyA], clock });
      expect(await both.link(uid)).toBe(shown);
      await both.reseal(new AbortController().signal);
      const alone = createVault({ database: database.database, keys: [keyB], clock });
      expect(await alone.redeem(uid, shown)).toBeDefined();
      const before = createVault({ database: database.database, keys: [keyA, keyB], clock });
      await before.rotate(uid, '2026-01-02T00:00:00Z');
      await both.reseal(new AbortController().signal);
      const replaced = (await alone.link(uid))!;
      expect(replaced).not.toBe(shown);
      expect(await alone.redeem(uid, replaced)).toBeDefined();
    });
  });

  it('lists the secrets of the owner with their times, without what is generated', async () => {
    await vault.generate(uid);
    expect(await vault.list(uid)).toEqual([]);
    const created = new Date(clock.now());
    await vault.set(uid, { TWO: 'x', ONE: 'x' });
    clock.step(60_000);
    await vault.set(uid, { ONE: 'y', TWO: 'x' });
    expect(await vault.list(uid)).toEqual([
      { name: 'ONE', createdAt: created, updatedAt: new Date(clock.now()) },
      { name: 'TWO', createdAt: created, updatedAt: created },
    ]);
  });

  describe('at rest', () => {
    it('holds no value in the clear, and the id of the key in every ciphertext', async () => {
      await vault.set(uid, { API_KEY: 'plain-text-value' });
      const revealed = await vault.reveal(uid);
      const dump = JSON.stringify(await database.query('SELECT * FROM vault_tenants, vault_secrets'));
      for (const value of ['plain-text-value', revealed?.databasePassword, revealed?.values['JWT_SECRET']])
        expect(dump).not.toContain(value);
      for (const { name, ciphertext } of await rowsOf(uid))
        expect(decodeProtectedHeader(ciphertext)).toEqual({
          alg: 'dir',
          enc: 'A256GCM',
          kid: 'a',
          tenant: uid,
          secret: name,
        });
    });

    it('seals equal values differently', async () => {
      await vault.set(uid, { ONE: 'same', TWO: 'same' });
      const [, , one, two] = await rowsOf(uid);
      expect(one?.ciphertext.split('.').at(-2)).not.toBe(two?.ciphertext.split('.').at(-2));
    });

    it('does not open a ciphertext that was moved to another name or tenant, or changed', async () => {
      const other = randomUUID();
      await vault.set(uid, { ONE: 'first', TWO: 'second' });
      await vault.set(other, { ONE: 'foreign' });
      const move = (to: string, name: string, from: string, source: string) =>
        database.query(
          `UPDATE vault_secrets SET ciphertext = (SELECT ciphertext FROM vault_secrets WHERE uid = $3 AND name = $4)
           WHERE uid = $1 AND name = $2`,
          [to, name, from, source],
        );
      const refusal = `cannot open secret "ONE" of tenant "${uid}": it was changed, or belongs to another secret`;
      const kept = (await rowsOf(uid)).find((row) => row.name === 'ONE')?.ciphertext ?? '';
      await move(uid, 'ONE', uid, 'TWO');
      await expect(vault.reveal(uid)).rejects.toThrow(refusal);
      await move(uid, 'ONE', other, 'ONE');
      await expect(vault.reveal(uid)).rejects.toThrow(refusal);

      const [header = '', ...rest] = kept.split('.');
      const forged = Buffer.from(JSON.stringify({ ...decodeProtectedHeader(kept), secret: 'TWO' })).toString(
        'base64url',
      );
      expect(forged).not.toBe(header);
      await database.query(`UPDATE vault_secrets SET ciphertext = $2 WHERE uid = $1 AND name = 'ONE'`, [
        uid,
        [forged, ...rest].join('.'),
      ]);
      await expect(vault.reveal(uid)).rejects.toThrow(refusal);
      await database.query(`UPDATE vault_secrets SET ciphertext = $2 WHERE uid = $1 AND name = 'ONE'`, [
        uid,
        kept,
      ]);
      expect((await vault.reveal(uid))?.values['ONE']).toBe('first');
    });
  });

  describe('with more than one key', () => {
    it('opens with all of them and seals with the first', async () => {
      await vault.set(uid, { OLD: 'old' });
      const rotated = createVault({ database: database.database, keys: [keyB, keyA], clock });
      await rotated.set(uid, { NEW: 'new' });
      expect((await rotated.reveal(uid))?.values).toMatchObject({ OLD: 'old', NEW: 'new' });
      expect((await rowsOf(uid)).map((row) => [row.name, row.key_id])).toEqual([
        ['', 'a'],
        ['JWT_SECRET', 'a'],
        ['NEW', 'b'],
        ['OLD', 'a'],
      ]);
    });

    it('seals everything anew, so that the old key can go', async () => {
      await database.query('TRUNCATE vault_tenants CASCADE');
      const tenants = Array.from({ length: 40 }, () => randomUUID());
      await Promise.all(tenants.map((tenant) => vault.generate(tenant)));
      const before = await Promise.all(tenants.map((tenant) => vault.reveal(tenant)));
      const rotated = createVault({ database: database.database, keys: [keyB, keyA], clock });
      expect(await rotated.reseal(AbortSignal.abort())).toBe(0);
      expect(await rotated.keysInUse()).toEqual(new Map([['a', 80]]));
      expect(await rotated.reseal(new AbortController().signal)).toBe(80);
      expect(await rotated.reseal(new AbortController().signal)).toBe(0);
      expect(await rotated.keysInUse()).toEqual(new Map([['b', 80]]));
      const alone = createVault({ database: database.database, keys: [keyB], clock });
      expect(await Promise.all(tenants.map((tenant) => alone.reveal(tenant)))).toEqual(before);
    });

    it('says which key is missing', async () => {
      await vault.generate(uid);
      const other = createVault({ database: database.database, keys: [keyB], clock });
      await expect(other.reveal(uid)).rejects.toThrow('its key "a" is not among LANDLORD_ENCRYPTION_KEYS');
      expect((await other.describe(uid))?.revision).toBe(1);
    });

    it.each([
      ['there is none', [], 'there is no encryption key'],
      [
        'one is too short',
        [{ id: 'a', key: randomBytes(16) }],
        'the encryption key "a" is 16 bytes long, not 32',
      ],
      ['two have one id', [keyA, { ...keyB, id: 'a' }], 'two encryption keys have the same id'],
    ])('refuses to open when %s', (_what, keys, message) => {
      expect(() => createVault({ database: database.database, keys, clock })).toThrow(VaultError);
      expect(() => createVault({ database: database.database, keys, clock })).toThrow(message);
    });
  });
});
