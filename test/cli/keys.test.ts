/** Does an old encryption key go out of use while everything goes on? On a real database, by the command itself. */
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateKeys } from '../../src/cli/keys.ts';
import { systemClock } from '../../src/clock.ts';
import type { EncryptionKey } from '../../src/vault/seal.ts';
import { createVault } from '../../src/vault/postgres-vault.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { COMMAND_TIMEOUT_MS, landlord } from './command.ts';

const oldKey = { id: 'old', key: randomBytes(32) };
const newKey = { id: 'new', key: randomBytes(32) };

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(() => database.query('TRUNCATE vault_tenants CASCADE'));
afterAll(() => database.drop());

const vaultWith = (...keys: EncryptionKey[]) =>
  createVault({ database: database.database, keys, clock: systemClock });
const written = (...keys: EncryptionKey[]) =>
  keys.map(({ id, key }) => `${id}:${Buffer.from(key).toString('base64')}`).join(',');

describe('landlord keys', { timeout: COMMAND_TIMEOUT_MS }, () => {
  it('tells which keys are in use, seals everything with the new one, and then tells that the old one may go', async () => {
    const uids = Array.from({ length: 60 }, () => randomUUID());
    await Promise.all(uids.map((uid) => vaultWith(oldKey).generate(uid)));
    const env = { DATABASE_URL: database.url, LANDLORD_ENCRYPTION_KEYS: written(newKey, oldKey) };
    expect(await landlord(['keys', 'status'], env)).toEqual({
      code: 0,
      out: 'new\t0 secrets\tseals\nold\t120 secrets\trun `landlord keys rotate`\n',
      err: '',
    });
    const rotated = await landlord(['keys', 'rotate'], env);
    expect(rotated).toEqual({
      code: 0,
      out: 'sealed 120 secrets with key "new"\nnew\t120 secrets\tseals\nold\t0 secrets\tmay be dropped\n',
      err: '',
    });
    for (const uid of uids) expect((await vaultWith(newKey).reveal(uid))?.databasePassword).toHaveLength(32);
  });

  it('says which key is missing, without any of it', async () => {
    await vaultWith(oldKey).generate(randomUUID());
    const env = { DATABASE_URL: database.url, LANDLORD_ENCRYPTION_KEYS: written(newKey) };
    expect((await landlord(['keys', 'status'], env)).out).toContain('old\t2 secrets\tMISSING');
    const { code, err } = await landlord(['keys', 'rotate'], env);
    expect(code).toBe(1);
    expect(err).toMatch(/^cannot open .* its key "old" is not among LANDLORD_ENCRYPTION_KEYS\n$/);
  });

  it('needs the environment of the daemon and a command that exists', async () => {
    const bare = await landlord(['keys', 'status'], {});
    expect(bare.code).toBe(2);
    expect(bare.err).toContain('DATABASE_URL');
    expect(bare.err).toContain('LANDLORD_ENCRYPTION_KEYS');
    expect((await landlord(['keys', 'forget'], {})).code).toBe(2);
    expect((await landlord(['--help'], {})).code).toBe(0);
  });
});

describe('a rotation of keys', () => {
  it('that is stopped goes on with the next run', async () => {
    const uids = Array.from({ length: 60 }, () => randomUUID());
    await Promise.all(uids.map((uid) => vaultWith(oldKey).generate(uid)));
    const vault = vaultWith(newKey, oldKey);
    const lines: string[] = [];
    const terminal = { print: (line: string) => void lines.push(line), complain: () => undefined };
    const run = (signal: AbortSignal) => rotateKeys(vault, { ids: ['new', 'old'], terminal, signal });
    await expect(run(AbortSignal.abort())).rejects.toThrow('run it again to go on');
    await run(new AbortController().signal);
    expect(await vault.keysInUse()).toEqual(new Map([['new', 120]]));
  });

  it('beside writers, some of whom do not know the new key first, loses no value', async () => {
    const uids = Array.from({ length: 20 }, () => randomUUID());
    const writers = [vaultWith(oldKey, newKey), vaultWith(newKey, oldKey)];
    await Promise.all(uids.map((uid) => writers[0]!.generate(uid)));
    const rotation = vaultWith(newKey, oldKey);
    const writing = uids.map(async (uid, index) => {
      for (let round = 1; round <= 5; round += 1)
        await writers[(index + round) % 2]!.set(uid, { VALUE: `${index}-${round}` });
    });
    await Promise.all([...writing, rotation.reseal(new AbortController().signal)]);
    await rotation.reseal(new AbortController().signal);
    expect([...(await rotation.keysInUse()).keys()]).toEqual(['new']);
    for (const [index, uid] of uids.entries())
      expect((await vaultWith(newKey).reveal(uid))?.values['VALUE']).toBe(`${index}-5`);
  });
});
