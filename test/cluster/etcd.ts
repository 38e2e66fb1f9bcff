/**
 * An etcd of one member for the test cluster's API server. Nothing in it is meant to survive, so it does not wait for
 * the disk.
 */
import { z } from 'zod';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/processes.ts';
import { startServer } from './server-process.ts';

const CALL_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 30_000;

export interface Etcd {
  readonly url: string;
  /** Forgets all revisions up to now. */
  compact(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts etcd. Throws what it printed last when it does not start. */
export async function openEtcd(options: {
  readonly program: string;
  readonly dataDir: string;
}): Promise<Etcd> {
  const [clientPort, peerPort] = await Promise.all([freePort(), freePort()]);
  const url = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const server = startServer(options.program, [
    '--name=test',
    `--data-dir=${options.dataDir}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=test=${peerUrl}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]);
  try {
    await eventually(
      async () => {
        if (server.ended()) throw new Error(`etcd has ended:\n${server.output()}`);
        return revision(url).then(
          () => true,
          () => false,
        );
      },
      { what: 'etcd to answer', timeoutMs: START_TIMEOUT_MS },
    );
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    url,
    async compact() {
      await call(url, '/v3/kv/compaction', { revision: await revision(url), physical: true });
    },
    stop: () => server.stop(),
  };
}

const rangeSchema = z.object({ header: z.object({ revision: z.string() }) });

async function revision(url: string): Promise<string> {
  // Any key will do: every answer tells the store's revision.
  const answer = await call(url, '/v3/kv/range', { key: Buffer.from('/').toString('base64') });
  return rangeSchema.parse(answer).header.revision;
}

/** etcd's JSON gateway. */
async function call(url: string, path: string, body: object): Promise<unknown> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`etcd answered ${response.status}: ${text}`);
  return JSON.parse(text);
}
