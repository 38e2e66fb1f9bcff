/**
 * What is the simulated Fly as a whole? A state machine: state, time and calls go in, answers and a changed state
 * come out. It has no timer, no socket and no clock of its own, so the HTTP server drives it in real time and a
 * simulation in virtual time. A call comes in two halves, because a write takes effect after it was sent:
 * `arrive` (routed, counted, limited, its latency drawn), and `answer` once that latency is over.
 */
import { createAgenda } from './agenda.ts';
import type { Call } from './call.ts';
import { createCallLog, type CallLog, type LoggedCall } from './call-log.ts';
import { refusalAnswer, spoil, type Delivery } from './delivery.ts';
import { hitBy, isWithoutEffect, type Hit } from './faults.ts';
import { ulid } from './identifiers.ts';
import { latencyTable, type LatencyOptions } from './latency.ts';
import { drawMs, type Moment, type WorldObserver, type WorldSettings } from './moment.ts';
import { takeToken } from './rate-limits.ts';
import { Refusal } from './refusal.ts';
import { NEAREST_REGION } from './regions.ts';
import { appNameOf, identifierOf, routeOf, type Route, type SimulatedRequest } from './routes.ts';
import { emptyState, type WorldState } from './state.ts';
import { createTimekeeper, type Timekeeper } from './timekeeper.ts';
import { refusalOfToken } from './tokens.ts';

/** Fly's proxy looks for idle machines "every few minutes". */
const AUTOSTOP_EVERY_MS = 3 * 60_000;

export interface WorldOptions {
  /** Equal seeds and calls lead to equal worlds. Default 1. */
  readonly seed?: number;
  /** A world that was before; its seed counts then. */
  readonly state?: WorldState;
  readonly latency?: LatencyOptions | number;
  /** Default true: Fly's documented limits. */
  readonly rateLimits?: boolean;
  /** Default three minutes; 0: the proxy never puts a machine to sleep by itself. */
  readonly autostopEveryMs?: number;
  /** Host names of the registry besides `registry.fly.io`. */
  readonly registryHosts?: readonly string[];
  /** So many of the latest calls are kept. Default 200 000. */
  readonly callLogSize?: number;
  readonly observer?: WorldObserver;
}

/** A call between its two halves. */
export interface Arrival {
  readonly request: SimulatedRequest;
  readonly route: Route | undefined;
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
  /** Until the call takes effect: come back with `answer` then. */
  readonly latencyMs: number;
  readonly hit: Hit | undefined;
  /** Refused at the door: it never takes effect. */
  readonly refused: Refusal | undefined;
  readonly logged: LoggedCall;
  /** When it took effect first. */
  startedAt: number | undefined;
}

export interface World extends Timekeeper {
  readonly state: WorldState;
  readonly calls: CallLog;
  /** A request reaches Fly. */
  arrive(request: SimulatedRequest, now: number): Arrival;
  /** The request takes effect and is answered. */
  answer(arrival: Arrival, now: number): Delivery;
  /** For those who interfere behind everybody's back: the world at this moment. */
  at(now: number): Moment;
}

function settingsOf(options: WorldOptions): WorldSettings {
  return {
    latency: latencyTable(options.latency),
    rateLimits: options.rateLimits ?? true,
    autostopEveryMs: options.autostopEveryMs ?? AUTOSTOP_EVERY_MS,
    registryHosts: ['registry.fly.io', ...(options.registryHosts ?? [])],
  };
}

/** Why the call is not let in: no credential, no such thing, or too often. */
function refusedAtTheDoor(
  moment: Moment,
  call: {
    request: SimulatedRequest;
    route: Route | undefined;
    app: string | undefined;
    identifier: string;
  },
): Refusal | undefined {
  const { request, route, app, identifier } = call;
  const { authorization = '' } = request.headers;
  if (authorization === '') return new Refusal(401, 'unauthorized: no token was sent');
  const limited = refusalOfToken(moment, { authorization, operation: route?.operation ?? '', app });
  if (limited !== undefined) return limited;
  if (route === undefined) return new Refusal(404, 'not found');
  if (route.simulated === undefined) return new Refusal(501, `not simulated: ${route.operation}`);
  const { limit = 'action' } = route.simulated;
  return refusalOf(() => takeToken(moment, { operation: route.operation, identifier, limit }));
}

/** The refusal that a function throws; undefined when it does not refuse. Anything else that it throws is a bug. */
function refusalOf(attempt: () => void): Refusal | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

function enter(moment: Moment, calls: CallLog, request: SimulatedRequest): Arrival {
  const { state, now } = moment;
  const found = routeOf(request);
  const { route, params = {} } = found ?? {};
  const operation = route?.operation ?? 'unknown';
  const app = appNameOf(operation, params, request.body);
  const hit = hitBy(state.faults, state.outage, { operation, app });
  const identifier = identifierOf({ app, params, query: request.query, operation });
  const refused =
    hit !== undefined && isWithoutEffect(hit.kind)
      ? undefined
      : refusedAtTheDoor(moment, { request, route, app, identifier });
  const latencyMs = drawMs(moment, refused === undefined ? (route?.simulated?.latency ?? 'read') : 'read');
  const logged = calls.add({
    operation,
    method: request.method,
    path: request.path,
    ...(app !== undefined && { app }),
    ...(params.machine_id !== undefined && { machine: params.machine_id }),
    ...(request.headers['user-agent'] !== undefined && { agent: request.headers['user-agent'] }),
    at: now,
    latencyMs,
    ...(hit !== undefined && { fault: hit.kind }),
  });
  const requestId = `${ulid(state, now)}-${NEAREST_REGION}`;
  return { request, route, params, requestId, latencyMs, hit, refused, logged, startedAt: undefined };
}

/** Carries a call out that was let in. */
function carryOut(moment: Moment, arrival: Arrival): Delivery {
  const { request, params, route, hit, refused } = arrival;
  if (hit !== undefined && isWithoutEffect(hit.kind)) return spoil(hit, { status: 200 });
  if (refused !== undefined) return { kind: 'answer', answer: refusalAnswer(refused), holdMs: 0 };
  arrival.startedAt ??= moment.now;
  const { query, headers, body } = request;
  const call: Call = { params, query, headers, body, startedAt: arrival.startedAt };
  try {
    const result = route?.simulated?.run(moment, call) ?? { status: 501 };
    if ('waitsFor' in result) return { kind: 'pending', machineId: result.waitsFor, untilMs: result.untilMs };
    return hit === undefined ? { kind: 'answer', answer: result, holdMs: 0 } : spoil(hit, result);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const answer = refusalAnswer(error);
    return hit === undefined ? { kind: 'answer', answer, holdMs: 0 } : spoil(hit, answer);
  }
}

/** The answer with the headers that every answer of Fly has. */
function signed(delivery: Delivery, { requestId }: Arrival): Delivery {
  if (delivery.kind !== 'answer') return delivery;
  const headers = { 'fly-request-id': requestId, ...delivery.answer.headers };
  return { ...delivery, answer: { ...delivery.answer, headers } };
}

export function createWorld(options: WorldOptions = {}): World {
  const state = options.state ?? emptyState(options.seed ?? 1);
  const settings = settingsOf(options);
  const { observer = {} } = options;
  const agenda = createAgenda(state);
  const calls = createCallLog({ size: options.callLogSize ?? 200_000 });
  const momentAt = (now: number): Moment => ({ state, now, settings, agenda, observer });
  const time = createTimekeeper({ state, agenda, autostopEveryMs: settings.autostopEveryMs, momentAt });

  /** The moment of `now`, with all that should have happened by then; a clock that was set back stands still. */
  function at(now: number): Moment {
    time.advance(Math.max(now, state.now));
    return momentAt(state.now);
  }

  return {
    state,
    calls,
    at,
    advance: (now) => void at(now),
    nextDueAt: () => time.nextDueAt(),
    arrive: (request, now) => enter(at(now), calls, request),
    answer(arrival, now) {
      const delivery = signed(carryOut(at(now), arrival), arrival);
      if (delivery.kind === 'answer') calls.settle(arrival.logged, { status: delivery.answer.status });
      else if (delivery.kind !== 'pending') calls.settle(arrival.logged, 'lost');
      return delivery;
    },
  };
}
