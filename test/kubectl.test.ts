/** By which certificate is kubectl served, and does it ever run out? On a real socket, with time in the test's hands. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { generate } from 'selfsigned';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { KubectlDependencies } from '../src/api/kubernetes/kubectl.ts';
import { readConfig } from '../src/config.ts';
import { openKubectlDoor, writeKubeconfig } from '../src/kubectl.ts';
import { developmentTls, tlsFiles } from '../src/tls.ts';
import { eventually } from './support/eventually.ts';
import { createFakeClock, type FakeClock } from './support/fake-clock.ts';

const DAY_MS = 24 * 3_600_000;

let stateDir: string;
let clock: FakeClock;
let stops: (() => Promise<void>)[];
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'landlord-tls-'));
  // Whoever connects judges certificates by the system's clock.
  clock = createFakeClock({ now: Date.now() });
  stops = [];
});
afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  await rm(stateDir, { recursive: true });
});

const source = (host = '127.0.0.1') => developmentTls({ stateDir, host, clock });
const parsed = (pem: string | undefined) => new X509Certificate(pem ?? '');

describe('the certificate of a development run', () => {
  it('names this machine, is signed by the authority, and is kept where only the owner can read it', async () => {
    const { cert, key, authority } = await source('landlord.example.com').read();
    const certificate = parsed(cert);
    for (const host of ['localhost', 'landlord.example.com']) expect(certificate.checkHost(host)).toBe(host);
    for (const ip of ['127.0.0.1', '::1']) expect(certificate.checkIP(ip)).toBe(ip);
    expect(certificate.verify(parsed(authority).publicKey)).toBe(true);
    expect([certificate.ca, parsed(authority).ca]).toEqual([false, true]);
    expect(key).toContain('PRIVATE KEY');
    expect((await stat(join(stateDir, 'tls.json'))).mode & 0o777).toBe(0o600);
  });

  it('is the same one as long as it lasts', async () => {
    const first = await source().read();
    await clock.advance(300 * DAY_MS);
    expect(await source().read()).toEqual(first);
  });

  it('is made anew a month before its end, by the same authority', async () => {
    const first = await source().read();
    await clock.advance(336 * DAY_MS);
    const second = await source().read();
    expect(second.cert).not.toBe(first.cert);
    expect(second.authority).toBe(first.authority);
    expect(Date.parse(parsed(second.cert).validTo) - clock.now()).toBeGreaterThan(360 * DAY_MS);
  });

  it('is made anew for another address', async () => {
    const first = await source().read();
    const second = await source('10.1.2.3').read();
    expect(parsed(second.cert).checkIP('10.1.2.3')).toBe('10.1.2.3');
    expect(second.authority).toBe(first.authority);
  });

  it('comes from a new authority before the old one would not outlive it', async () => {
    const first = await source().read();
    await clock.advance(9 * 365 * DAY_MS);
    const second = await source().read();
    expect(second.authority).not.toBe(first.authority);
    expect(parsed(second.cert).verify(parsed(second.authority).publicKey)).toBe(true);
  });

  it('that is damaged is said to be, with what to do', async () => {
    await writeFile(join(stateDir, 'tls.json'), '{"authority":');
    await expect(source().read()).rejects.toThrow(/tls\.json": it is damaged; remove it/);
  });
});

describe('certificate files', () => {
  it('that cannot be read are named', async () => {
    const files = tlsFiles({ cert: join(stateDir, 'cert.pem'), key: join(stateDir, 'key.pem') });
    await expect(files.read()).rejects.toThrow(/cannot read the TLS file ".*cert\.pem": ENOENT/);
  });
});

/** The door with nothing behind it: nobody gets further than the handshake here. */
async function open(environment: Record<string, string> = {}) {
  const config = readConfig(
    { LANDLORD_STATE_DIR: stateDir, LANDLORD_KUBECTL_PORT: '0', ...environment },
    stateDir,
  );
  const dependencies = {
    clock,
    log: pino({ level: 'silent' }),
    metrics: new Registry(),
    health: async () => ({ healthy: true, checks: [] }),
    ledger: { requests: { record: () => undefined } },
    trustsProxy: () => false,
    corsOrigins: [],
  };
  const cleanup = { add: (_what: string, stop: () => Promise<void>) => void stops.push(stop) };
  const options = { config, cleanup, clock, log: dependencies.log };
  const door = await openKubectlDoor(options, dependencies as unknown as KubectlDependencies);
  if (door === undefined) throw new Error('the door is shut');
  return door;
}

/** The certificate that a client is shown who trusts this authority, or no other than the system's. */
async function shown(url: string, ca: string | undefined): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), ca });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.toString() ?? '';
  } finally {
    socket.destroy();
  }
}

describe('the door', () => {
  it('is trusted through its authority, and by nobody else', async () => {
    const { url, authority } = await open();
    expect(await shown(url, authority)).toContain('BEGIN CERTIFICATE');
    await expect(shown(url, undefined)).rejects.toThrow(/certificate/);
  });

  it('shows a new certificate a month before the old one ends, without closing', async () => {
    const halfAnHourMs = 1_800_000;
    const past = createFakeClock({ now: clock.now() - 335 * DAY_MS + halfAnHourMs });
    const made = await developmentTls({ stateDir, host: '127.0.0.1', clock: past }).read();
    const { url, authority } = await open();
    expect(await shown(url, authority)).toBe(parsed(made.cert).toString());
    await clock.advance(2 * halfAnHourMs);
    await eventually(async () => (await shown(url, authority)) !== parsed(made.cert).toString(), {
      what: 'a new certificate',
    });
    expect(authority).toBe(made.authority);
  });

  it('takes a certificate that the operator has replaced, and keeps the old one while the new one is broken', async () => {
    const files = { cert: join(stateDir, 'cert.pem'), key: join(stateDir, 'key.pem') };
    const write = async (pems: { cert: string; private: string }) => {
      await writeFile(files.cert, pems.cert);
      await writeFile(files.key, pems.private);
    };
    const [one, two] = [await selfSigned(), await selfSigned()];
    await write(one);
    const { url, authority } = await open({
      LANDLORD_KUBECTL_TLS_CERT_FILE: files.cert,
      LANDLORD_KUBECTL_TLS_KEY_FILE: files.key,
    });
    expect(authority).toBeUndefined();
    expect(await shown(url, one.cert)).toBe(parsed(one.cert).toString());
    await writeFile(files.cert, 'broken');
    await clock.advance(3_600_000);
    expect(await shown(url, one.cert)).toBe(parsed(one.cert).toString());
    await write(two);
    await eventually(
      async () => {
        // Time passes while it still reads files, and then it waits for the next hour.
        await clock.advance(3_600_000);
        return (await shown(url, two.cert).catch(() => '')) === parsed(two.cert).toString();
      },
      { what: 'the new certificate' },
    );
  });

  it('says what to do when its port is taken', async () => {
    const { url } = await open();
    await expect(open({ LANDLORD_KUBECTL_PORT: new URL(url).port })).rejects.toThrow(
      /cannot open the door for kubectl: .*EADDRINUSE.*; set LANDLORD_KUBECTL_PORT to another port, or to off/,
    );
  });
});

const selfSigned = () =>
  generate([{ name: 'commonName', value: 'operator' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  });

describe('the kubeconfig', () => {
  it('has all that kubectl needs, and only its owner can read it', async () => {
    const file = await writeKubeconfig(stateDir, {
      url: 'https://127.0.0.1:8443',
      authority: 'PEM',
      token: 'a.b.c',
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(parse(await readFile(file, 'utf8'))).toMatchObject({
      clusters: [{ cluster: { server: 'https://127.0.0.1:8443', 'certificate-authority-data': 'UEVN' } }],
      users: [{ user: { token: 'a.b.c' } }],
      contexts: [{ context: { namespace: 'default' } }],
      'current-context': 'landlord',
    });
  });
});
