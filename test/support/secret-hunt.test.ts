/** Can the hunt find? A secret is planted in every disguise and in every kind of column, and must be told. */
import { randomBytes } from 'node:crypto';
import { CompactEncrypt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { createSecretHunt, dumpDatabase } from './secret-hunt.ts';

const SECRET = 'p/ss "word" of+späte=4711';
const encoded = (text: string, encoding: BufferEncoding): string =>
  Buffer.from(text, 'utf8').toString(encoding);

describe('a secret', () => {
  it.each<[disguise: string, text: string]>([
    ['plain', `before ${SECRET} after`],
    ['in JSON', JSON.stringify({ nested: [SECRET] })],
    ['in a URL', `https://x:${encodeURIComponent(SECRET)}@example.com/`],
    ['in a form', new URLSearchParams({ grant: SECRET }).toString()],
    ['hexadecimal', encoded(SECRET, 'hex')],
    ['base64', encoded(SECRET, 'base64')],
    ['base64 behind a user of one letter', encoded(`x:${SECRET}`, 'base64')],
    ['base64 behind three letters and before more', encoded(`key=${SECRET}, and more`, 'base64')],
    ['base64url', encoded(`{"secret":"${SECRET}"}`, 'base64url')],
  ])('is found %s', (_disguise, text) => {
    const hunt = createSecretHunt();
    hunt.hide('the password', SECRET);
    hunt.search('here', 'nothing');
    expect(hunt.findings()).toEqual([]);
    hunt.search('there', text);
    const [found] = hunt.findings();
    expect(found).toMatchObject({ secret: 'the password', place: 'there' });
    expect(JSON.stringify(hunt.findings())).not.toContain('4711');
  });

  it('that would be found anywhere is refused', () => {
    expect(() => createSecretHunt().hide('the pin', '4711')).toThrow('cannot hunt for the pin');
  });

  it('that stands sealed is opened and hunted, but the ciphertext is no finding', async () => {
    const key = { id: 'k', key: randomBytes(32) };
    const seal = (secret: string, text: string): Promise<string> =>
      new CompactEncrypt(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key.id, secret })
        .encrypt(key.key);
    const jwk = JSON.stringify({ kty: 'RSA', n: 'public-modulus', d: 'private-exponent' });
    const text = [
      await seal('PASSWORD', SECRET),
      await seal('KEY', jwk),
      await seal('NAMES', 'LIST_OF_NAMES'),
    ];
    const hunt = createSecretHunt();
    hunt.search('the database', text.join());
    await hunt.hideSealed(text.join(), { keys: [key], except: ['NAMES'] });
    expect(hunt.findings()).toEqual([]);
    hunt.search('the log', `${SECRET} public-modulus private-exponent LIST_OF_NAMES`);
    expect(hunt.findings().map(({ secret }) => secret)).toEqual(['sealed PASSWORD', 'sealed KEY']);
    await expect(hunt.hideSealed(text.join(), { keys: [], except: [] })).rejects.toThrow('no key "k"');
  });
});

describe('a dump of the database', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await createTestDatabase();
  });
  afterAll(() => test.drop());

  it.each<[column: string, type: string, value: string]>([
    ['text', 'text', `'${SECRET}'`],
    ['bytes', 'bytea', `convert_to('${SECRET}', 'UTF8')`],
    ['documents', 'jsonb', `jsonb_build_object('deep', jsonb_build_array('${SECRET}'))`],
    ['lists', 'text[]', `ARRAY['other', '${SECRET}']`],
  ])('tells of a secret in a column of %s, in any schema', async (column, type, value) => {
    const hunt = createSecretHunt();
    hunt.hide('the password', SECRET);
    hunt.search('the database', await dumpDatabase(test.query));
    expect(hunt.findings()).toEqual([]);
    await test.query(`CREATE SCHEMA "odd ${column}"`);
    await test.query(`CREATE TABLE "odd ${column}"."a table" ("a column" ${type})`);
    await test.query(`INSERT INTO "odd ${column}"."a table" VALUES (${value})`);
    hunt.search('the database', await dumpDatabase(test.query));
    expect(hunt.findings().map(({ place }) => place)).toEqual(['the database']);
    await test.query(`DROP SCHEMA "odd ${column}" CASCADE`);
  });

  it('has every table of the migrations', async () => {
    const dump = await dumpDatabase(test.query);
    for (const table of [
      'tenants',
      'tenant_events',
      'vault_secrets',
      'vault_links',
      'paddle_events',
      'signing_keys',
    ])
      expect(dump).toContain(`public.${table}:`);
    expect(dump).toContain('pg_authid:');
  });
});
