/**
 * By which certificate does the daemon show who it is? By files that the operator gives, or by a certificate of a
 * small authority of the state folder's own, which is made anew before it expires. Whoever reads a source again
 * gets what is valid then.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { z } from 'zod';
import type { Clock } from './clock.ts';
import { readOptional, writePrivate } from './private-file.ts';

/** In PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface TlsMaterial extends KeyPair {
  /** What a client must trust, in PEM; absent when that is for the operator to see to. */
  readonly authority?: string;
}

export interface TlsSource {
  /** Rejects with an error that names the file, or the folder, that is at fault. */
  read(): Promise<TlsMaterial>;
}

const DAY_MS = 24 * 3_600 * 1_000;
const AUTHORITY_LIFETIME_MS = 10 * 365 * DAY_MS;
/** Some clients refuse certificates that live longer than 398 days. */
const CERTIFICATE_LIFETIME_MS = 365 * DAY_MS;
const RENEWAL_MS = 30 * DAY_MS;
/** An authority outlives whatever it still signs. */
const AUTHORITY_RENEWAL_MS = CERTIFICATE_LIFETIME_MS + RENEWAL_MS;
/** The clock of a client may be behind. */
const BACKDATED_MS = DAY_MS;
/** Names of this machine itself. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'];

const keyPairSchema = z.object({ cert: z.string(), key: z.string() });
const keptSchema = z.object({ authority: keyPairSchema, server: keyPairSchema });

/** The certificate and the key that an operator gives, in PEM. */
export function tlsFiles(files: { readonly cert: string; readonly key: string }): TlsSource {
  return {
    async read() {
      // One after the other: where both are missing, the same one is named every time.
      const cert = await readPem(files.cert);
      const key = await readPem(files.key);
      return { cert, key };
    },
  };
}

async function readPem(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new Error(`cannot read the TLS file "${file}": ${messageOf(error)}`, { cause: error });
  });
}

/** A certificate for this machine and for `host`, kept with its authority in `tls.json` of the state folder. */
export function developmentTls(options: {
  readonly stateDir: string;
  readonly host: string;
  readonly clock: Clock;
}): TlsSource {
  const { clock } = options;
  const file = join(options.stateDir, 'tls.json');
  const hosts = [...new Set([...LOCAL_HOSTS, options.host])];
  return {
    async read() {
      const now = clock.now();
      const text = await readOptional(file);
      const kept = text === undefined ? undefined : parseKept(file, text);
      const authority =
        kept !== undefined && lasts(kept.authority, now + AUTHORITY_RENEWAL_MS)
          ? kept.authority
          : await createAuthority(now);
      const good =
        kept !== undefined &&
        kept.authority === authority &&
        lasts(kept.server, now + RENEWAL_MS) &&
        hosts.every((host) => names(kept.server, host));
      if (good) return { ...kept.server, authority: authority.cert };
      const server = await createCertificate({ authority, hosts, now });
      await writePrivate(file, `${JSON.stringify({ authority, server }, null, 2)}\n`);
      return { ...server, authority: authority.cert };
    },
  };
}

function parseKept(file: string, text: string): z.infer<typeof keptSchema> {
  try {
    return keptSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`cannot read "${file}": it is damaged; remove it, and it is made anew`, { cause: error });
  }
}

function lasts({ cert }: KeyPair, until: number): boolean {
  return Date.parse(new X509Certificate(cert).validTo) > until;
}

function names({ cert }: KeyPair, host: string): boolean {
  const certificate = new X509Certificate(cert);
  return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
}

async function createAuthority(now: number): Promise<KeyPair> {
  const made = await generate([{ name: 'commonName', value: 'Landlord development authority' }], {
    ...validity(now, AUTHORITY_LIFETIME_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  return { cert: made.cert, key: made.private };
}

async function createCertificate(options: {
  readonly authority: KeyPair;
  readonly hosts: readonly string[];
  readonly now: number;
}): Promise<KeyPair> {
  const { authority, hosts, now } = options;
  const made = await generate([{ name: 'commonName', value: 'Landlord' }], {
    ...validity(now, CERTIFICATE_LIFETIME_MS),
    ca: authority,
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: hosts.map((host) => (isIP(host) === 0 ? { type: 2, value: host } : { type: 7, ip: host })),
      },
    ],
  });
  return { cert: made.cert, key: made.private };
}

function validity(now: number, lifetimeMs: number) {
  return {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BACKDATED_MS),
    notAfterDate: new Date(now + lifetimeMs),
  } as const;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
