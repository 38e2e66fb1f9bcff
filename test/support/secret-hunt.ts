/**
 * Does a secret show where it must not? A rig names every secret that it sets or is shown, and every place in which
 * none may be: logs, events, plans, errors, the database. The hunt looks for each in each, as it is and in the disguises
 * in which a secret travels by accident: as base64 inside something else, in a URL, in JSON, in hexadecimal.
 */
import { compactDecrypt } from 'jose';

export interface Finding {
  readonly secret: string;
  readonly place: string;
  readonly disguise: string;
  /** What stands around it, without the secret itself. */
  readonly around: string;
}

export interface SecretHunt {
  /** Names a secret. One that is so short that it stands anywhere by chance is refused. */
  hide(name: string, value: string): void;
  /** Opens all that stands sealed in a text, and names it, except the secrets of these names: they hold nothing secret. */
  hideSealed(
    text: string,
    sealed: { readonly keys: readonly SealingKey[]; readonly except: readonly string[] },
  ): Promise<void>;
  /** Names a place and what stands there; the same place again adds to it. */
  search(place: string, text: string): void;
  /** Every secret in every place. */
  findings(): readonly Finding[];
  /** Names of all that is hunted: a hunt for nothing finds nothing. */
  secrets(): readonly string[];
}

export interface SealingKey {
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

const LEAST_LENGTH = 10;
const AROUND_CHARACTERS = 60;
/** A compact JWE whose key is not in it: header, no key, nonce, ciphertext, tag. */
const SEALED = /eyJ[\w-]+\.\.[\w-]+\.[\w-]*\.[\w-]+/g;

export function createSecretHunt(): SecretHunt {
  const secrets = new Map<string, string>();
  const places = new Map<string, string[]>();

  const hunt: SecretHunt = {
    hide(name, value) {
      if (value.length < LEAST_LENGTH)
        throw new Error(`cannot hunt for ${name}: it has fewer than ${LEAST_LENGTH} characters`);
      secrets.set(value, secrets.get(value) ?? name);
    },
    async hideSealed(text, { keys, except }) {
      for (const sealed of new Set(text.match(SEALED) ?? [])) {
        const { plaintext, protectedHeader } = await compactDecrypt(sealed, ({ kid }) => {
          const known = keys.find(({ id }) => id === kid);
          if (known === undefined) throw new Error(`cannot open what is sealed: no key "${kid ?? ''}"`);
          return known.key;
        });
        const { secret } = protectedHeader;
        if (typeof secret === 'string' && except.includes(secret)) continue;
        const name = typeof secret === 'string' ? `sealed ${secret}` : 'sealed';
        for (const value of valuesOf(new TextDecoder().decode(plaintext)))
          if (value.length >= LEAST_LENGTH) hunt.hide(name, value);
      }
    },
    search(place, text) {
      const texts = places.get(place);
      if (texts === undefined) places.set(place, [text]);
      else texts.push(text);
    },
    findings: () =>
      [...secrets].flatMap(([value, secret]) =>
        disguisesOf(value).flatMap(([disguise, pattern]) =>
          [...places].flatMap(([place, texts]) =>
            texts.flatMap((text) => {
              const at = text.indexOf(pattern);
              return at === -1 ? [] : [{ secret, place, disguise, around: around(text, at, pattern.length) }];
            }),
          ),
        ),
      ),
    secrets: () => [...new Set(secrets.values())],
  };
  return hunt;
}

/** A sealed private key is a JWK, of which the private members are secret and the public ones are not. */
function valuesOf(plaintext: string): string[] {
  if (!plaintext.startsWith('{')) return [plaintext];
  const members = JSON.parse(plaintext) as Record<string, unknown>;
  return ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'].flatMap((name) => {
    const value = members[name];
    return typeof value === 'string' ? [value] : [];
  });
}

function disguisesOf(value: string): readonly (readonly [disguise: string, pattern: string])[] {
  const bytes = Buffer.from(value, 'utf8');
  const form = new URLSearchParams({ v: value }).toString().slice(2);
  const all = [
    ['plain', value],
    ['in JSON', JSON.stringify(value).slice(1, -1)],
    ['in a URL', encodeURIComponent(value)],
    ['in a form', form],
    ['hexadecimal', bytes.toString('hex')],
    ...[0, 1, 2].flatMap((offset) => [
      ['base64', base64Core(bytes, offset, 'base64')] as const,
      ['base64url', base64Core(bytes, offset, 'base64url')] as const,
    ]),
  ] as const;
  // The same text under two names would be found twice.
  return all.filter(([, pattern], index) => all.findIndex(([, other]) => other === pattern) === index);
}

/**
 * What of a base64 text comes from these bytes alone, if `offset` bytes (modulo three) stand before them: the characters
 * at both ends that also depend on their neighbours are left out. So it is found inside anything that was encoded.
 */
function base64Core(bytes: Buffer, offset: number, encoding: 'base64' | 'base64url'): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString(encoding)
    .replace(/=+$/, '');
  const last = (offset + bytes.length) % 3 === 0 ? encoded.length : encoded.length - 1;
  return encoded.slice(Math.ceil((offset * 8) / 6), last);
}

function around(text: string, at: number, length: number): string {
  const before = text.slice(Math.max(0, at - AROUND_CHARACTERS), at);
  return `${before}<secret>${text.slice(at + length, at + length + AROUND_CHARACTERS)}`;
}

/** One statement on the database that is searched. */
export type Query = (text: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/**
 * Every row of every table of a database, of all its schemas but the server's own, as JSON; and what the server itself
 * keeps of roles, settings and running statements, which no dump of the database has.
 */
export async function dumpDatabase(query: Query): Promise<string> {
  const tables = await query(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
  );
  const catalogs = ['pg_authid', 'pg_db_role_setting', 'pg_stat_activity'];
  const lines: string[] = [];
  for (const name of [...tables.map((row) => String(row['name'])), ...catalogs]) {
    const rows = await query(`SELECT to_jsonb(t)::text AS row FROM ${name} t`);
    lines.push(`${name}:`, ...rows.map((row) => String(row['row'])));
  }
  return lines.join('\n');
}
