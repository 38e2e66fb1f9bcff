/**
 * The client of the Fly platform: puts together connections, limits, circuits and the operations by noun. It holds to
 * Fly's documented limits by itself, decides nothing, and rejects with FlyError only.
 */
import type { Registry } from 'prom-client';
import type { Clock } from '../clock.ts';
import { createApps } from './apps.ts';
import { transportUnder, type MayAct, type Transport } from './call.ts';
import { createCertificates } from './certificates.ts';
import { createCircuit, type Circuit } from './circuit.ts';
import type { Fly } from './fly.ts';
import { createHttp, type Http } from './http.ts';
import { createLimiter } from './limiter.ts';
import { createMachines } from './machines.ts';
import { createFlyMetrics } from './metrics.ts';
import { createNetwork } from './network.ts';
import { createOrganisation } from './organisation.ts';
import { createRegistry } from './registry.ts';
import { createSecrets } from './secrets.ts';
import { createTelemetry } from './telemetry.ts';
import { credentialsOf } from './token.ts';
import { createTransport, type Timeouts } from './transport.ts';
import { createVolumes } from './volumes.ts';

/** The part of a logger that is used here; pino's fits. */
export interface FlyLog {
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

export interface FlyLimits {
  /** Connections to one host for ordinary calls; more calls than that queue for one. */
  readonly connections: number;
  /** Waits under way at a time; each holds a connection of its own, so that waits never starve calls. */
  readonly waitConnections: number;
  /** A larger answer is refused. A page of a thousand machines is some hundred kilobytes. */
  readonly answerBytes: number;
  /** A call whose turn under Fly's rate limits would come later than this is refused at once. */
  readonly limiterWaitMs: number;
  /** So many failures of one host in a row open its circuit. */
  readonly circuitFailures: number;
}

export interface FlyOptions {
  /** The Machines API without its `/v1`: `https://api.machines.dev`. */
  readonly apiUrl: string;
  /** `https://registry.fly.io` */
  readonly registryUrl: string;
  /** What comes before `/api/v1/apps/{app}/logs`: `https://api.fly.io`. */
  readonly logsUrl: string;
  /** What comes before `/{org}/api/v1/query`: `https://api.fly.io/prometheus`. */
  readonly prometheusUrl: string;
  /** An organisation token; it is sent nowhere but to these four addresses. */
  readonly token: string;
  readonly orgSlug: string;
  /** Tells replicas of Landlord apart, in the `user-agent` of every call. */
  readonly replica?: string;
  readonly clock: Clock;
  readonly log?: FlyLog;
  readonly metrics?: Registry;
  readonly timeouts?: Partial<Timeouts>;
  readonly limits?: Partial<FlyLimits>;
  /** What carries requests; connections of its own when absent. */
  readonly http?: Http;
}

const TIMEOUTS: Timeouts = { readMs: 10_000, writeMs: 30_000 };

const LIMITS: FlyLimits = {
  connections: 64,
  waitConnections: 512,
  answerBytes: 32 * 1024 * 1024,
  limiterWaitMs: 30_000,
  circuitFailures: 10,
};

export interface FlyClient extends Fly {
  /**
   * The same client for someone who may change things only as long as `mayAct` says so, which is asked at the last
   * moment before each write is put on a connection: a refused one was not sent.
   */
  under(mayAct: MayAct): Fly;
}

export function createFly(options: FlyOptions): FlyClient {
  const transports = createTransports(options);
  return {
    ...operations(options, transports),
    under: (mayAct) => operations(options, underPermit(transports, mayAct)),
  };
}

function operations(options: FlyOptions, transports: Transports): Fly {
  const credentials = credentialsOf(options.token);
  const api = transports.to(new URL(versioned(options.apiUrl)), credentials.authorization);
  const registryUrl = new URL(options.registryUrl);
  const { orgSlug } = options;
  return {
    apps: createApps(api, { orgSlug }),
    machines: createMachines(api),
    volumes: createVolumes(api),
    network: createNetwork(api),
    certificates: createCertificates(api),
    secrets: createSecrets(api),
    organisation: createOrganisation(api, { orgSlug }),
    registry: createRegistry({
      registryUrl,
      transport: transports.to(registryUrl, credentials.basic),
      transportTo: (address) => transports.to(new URL(address.origin), credentials.basic),
    }),
    telemetry: createTelemetry({
      logs: transports.to(new URL(options.logsUrl), credentials.authorization),
      prometheus: transports.to(new URL(options.prometheusUrl), credentials.authorization),
      orgSlug,
    }),
    close: () => transports.close(),
  };
}

interface Transports {
  /** Calls below `baseUrl`; those to one host share its connections and its circuit. */
  to(baseUrl: URL, authorization: string): Transport;
  close(): Promise<void>;
}

function underPermit(transports: Transports, mayAct: MayAct): Transports {
  return {
    to: (baseUrl, authorization) => transportUnder(transports.to(baseUrl, authorization), mayAct),
    close: () => transports.close(),
  };
}

function createTransports({ clock, log, ...options }: FlyOptions): Transports {
  const limits: FlyLimits = { ...LIMITS, ...options.limits };
  const metrics = createFlyMetrics(options.metrics);
  const limiter = createLimiter({ clock, longestWaitMs: limits.limiterWaitMs });
  const http =
    options.http ??
    createHttp({
      clock,
      connections: limits.connections,
      longPollConnections: limits.waitConnections,
      answerBytes: limits.answerBytes,
    });
  const userAgent = options.replica === undefined ? 'landlord' : `landlord (${options.replica})`;
  const circuits = new Map<string, Circuit>();

  function circuitOf({ host }: URL): Circuit {
    const known = circuits.get(host);
    if (known !== undefined) return known;
    const circuit = createCircuit({
      clock,
      failures: limits.circuitFailures,
      onState(state) {
        metrics.circuit(host, state);
        if (state === 'open')
          log?.warn({ host }, 'a host of Fly fails again and again: calls to it are held back');
        if (state === 'closed') log?.info({ host }, 'a host of Fly is well again');
      },
    });
    metrics.circuit(host, circuit.state);
    circuits.set(host, circuit);
    return circuit;
  }

  return {
    to: (baseUrl, authorization) =>
      createTransport({
        baseUrl,
        headers: { authorization, 'user-agent': userAgent },
        http,
        circuit: circuitOf(baseUrl),
        limiter,
        metrics,
        clock,
        timeouts: { ...TIMEOUTS, ...options.timeouts },
        onRetry: ({ message, details }) =>
          log?.debug(
            { operation: details.operation, requestId: details.requestId, reason: details.reason },
            message,
          ),
      }),
    close: () => http.close(),
  };
}

/** Fly's own variable names the host alone; an address that carries the version already is taken as it is. */
function versioned(apiUrl: string): string {
  const trimmed = apiUrl.replace(/\/+$/, '');
  return trimmed.endsWith('/v1') ? trimmed : `${trimmed}/v1`;
}
