/**
 * What is a daemon in the simulation? The product's own loop over the product's own client of Fly, with wires where its
 * connections would be.
 */
import type { Logger } from 'pino';
import type { RuntimeMetrics } from '../../src/controller/metrics.ts';
import type { TenantDatabases } from '../../src/database/tenant-databases.ts';
import { createFly } from '../../src/fly/client.ts';
import { createLoop, type Loop } from '../../src/loop.ts';
import type { Exchange } from '../../src/simulator/exchange.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { createFlyHttp, type FlyCall } from './fly-http.ts';
import type { Kernel, Process } from './kernel.ts';
import type { ModelDatabases } from './model/databases.ts';
import type { ModelVault } from './model/secrets.ts';
import { createStorePort } from './model/store.ts';
import type { ModelTenants } from './model/tenants.ts';
import type { Watches } from './model/watches.ts';
import type { Wire } from './wire.ts';

export const SETTINGS = {
  orgSlug: 'systemprompt',
  registryHost: 'registry.fly.io',
  sharedRegistryApp: 'systemprompt-images',
  subdomainSuffix: 'tenants.test',
};

export interface DaemonParts {
  readonly process: Process;
  readonly kernel: Kernel;
  readonly wire: Wire;
  readonly exchange: Exchange;
  readonly tenants: ModelTenants;
  readonly vault: ModelVault;
  readonly databases: ModelDatabases;
  readonly watches: Watches;
  readonly metrics: RuntimeMetrics;
  readonly logger: Logger;
  readonly onFlyCall: (call: FlyCall) => void;
  readonly onRemoval: (operation: string, uid: string) => void;
}

/** Starts the loop of one daemon, in its process. */
export function startLoop(parts: DaemonParts): Loop {
  const { process, wire, metrics } = parts;
  const { clock } = process;
  const loop = createLoop({
    store: createStorePort(parts.tenants, {
      call: (operation, perform) => wire.call(process, { site: `store.${operation}` }, perform),
      news: (wanted) => parts.watches.news(process, wanted),
      now: () => clock.now(),
    }),
    fly: createFly({
      apiUrl: 'http://fly.test',
      registryUrl: 'http://registry.fly.io',
      logsUrl: 'http://fly.test',
      prometheusUrl: 'http://fly.test/prometheus',
      token: 'any',
      orgSlug: SETTINGS.orgSlug,
      clock,
      http: createFlyHttp({ ...parts, onCall: parts.onFlyCall }),
    }),
    vault: vaultOverWire(parts),
    databases: databasesOverWire(parts),
    settings: SETTINGS,
    clock,
    log: parts.logger,
    metrics,
  });
  loop.start();
  return loop;
}

function vaultOverWire({ process, wire, vault, onRemoval }: DaemonParts): Vault {
  const call = <T>(operation: string, perform: () => T): Promise<T> =>
    wire.call(process, { site: `vault.${operation}` }, perform);
  const change = <T>(operation: string, perform: () => T): Promise<T> =>
    wire.call(process, { site: `vault.${operation}`, transaction: true }, perform);
  return {
    describe: (uid) => call('describe', () => vault.describe(uid)),
    generate: (uid) => change('generate', () => vault.generate(uid)),
    rotate: (uid, requestedAt) => change('rotate', () => vault.rotate(uid, requestedAt)),
    set: (uid, values) => change('set', () => vault.set(uid, values)),
    reveal: (uid) => call('reveal', () => vault.reveal(uid)),
    recordApplied: (uid, applied) => call('recordApplied', () => vault.recordApplied(uid, applied)),
    forget: (uid) =>
      call('forget', () => {
        onRemoval('vault.forget', uid);
        vault.forget(uid);
      }),
    // Every wake is lost here, as any may be: what the owner has set is found by the sweep.
    onChange: () => () => undefined,
  };
}

function databasesOverWire({ process, wire, databases, onRemoval }: DaemonParts): TenantDatabases {
  const alone = <T>(operation: string, lock: string, perform: (share: number) => T): Promise<T> =>
    wire.call(process, { site: `databases.${operation}`, lock }, perform);
  return {
    describe: (uid, { afterOthers = false } = {}) =>
      alone('describe', afterOthers ? uid : '', () => databases.describe(uid)),
    create: (uid, credentials) => alone('create', uid, (share) => databases.create(uid, credentials, share)),
    setPassword: (uid, credentials) =>
      alone('setPassword', uid, (share) => databases.setPassword(uid, credentials, share)),
    setExternalAccess: (uid, allowed) =>
      alone('setExternalAccess', uid, (share) => databases.setExternalAccess(uid, allowed, share)),
    drop: (uid) =>
      alone('drop', uid, (share) => {
        onRemoval('databases.drop', uid);
        databases.drop(uid, share);
      }),
    url: (uid, password) => databases.url(uid, password),
  };
}
