/**
 * What does the control surface under `/_simulator` offer? The plan of faults, the log of calls, the world as it
 * is, and the interventions. It needs no credential, has no latency and no faults: it is not part of Fly.
 */
import { z } from 'zod';
import { noContent, ok, parseBody, type Answer, type Call } from './call.ts';
import { refusalAnswer } from './delivery.ts';
import { faultBody } from './faults.ts';
import * as hand from './interventions.ts';
import type { Moment } from './moment.ts';
import { invalid, Refusal } from './refusal.ts';
import { createRouter } from './router.ts';
import type { SimulatedRequest } from './routes.ts';
import type { World } from './world.ts';
import { worldView } from './world-view.ts';

/** Everything below it belongs to the simulator and not to Fly. */
export const CONTROL_PREFIX = '/_simulator';

type ControlHandler = (moment: Moment, call: Call, world: World) => Answer;

function numberIn(call: Call, name: string): number | undefined {
  const text = call.query.get(name);
  if (text === null) return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw invalid(`${name} must be a number`);
  return Number(text);
}

function listCalls(_: Moment, call: Call, { calls }: World): Answer {
  const app = call.query.get('app') ?? undefined;
  const since = numberIn(call, 'since');
  const limit = numberIn(call, 'limit');
  const filter = {
    ...(app !== undefined && { app }),
    ...(since !== undefined && { since }),
    ...(limit !== undefined && { limit }),
  };
  return ok({ calls: calls.list(filter), counters: calls.counters() });
}

function clearCalls(_: Moment, __: Call, { calls }: World): Answer {
  calls.clear();
  return noContent();
}

function addFault(moment: Moment, call: Call): Answer {
  const { body, ...plan } = parseBody(faultBody, call, { keepNulls: true });
  const { state } = moment;
  state.sequence += 1;
  const fault = { id: state.sequence, ...plan, ...(body !== undefined && { body }), seen: 0, fired: 0 };
  // Through JSON, so that what was not given is absent and the state stays its own JSON.
  state.faults.push(JSON.parse(JSON.stringify(fault)) as (typeof state.faults)[number]);
  return ok({ id: fault.id });
}

function clearFaults(moment: Moment): Answer {
  moment.state.faults.length = 0;
  return noContent();
}

const outageBody = z.strictObject({
  kind: z.enum(['status', 'hang', 'reset', 'off']),
  status: z.int().min(400).max(599).optional(),
});

function setOutage(moment: Moment, call: Call): Answer {
  const { kind, status } = parseBody(outageBody, call);
  moment.state.outage = kind === 'off' ? null : { kind, ...(kind === 'status' && { status: status ?? 503 }) };
  return noContent();
}

const table: readonly (readonly [method: string, path: string, run: ControlHandler])[] = [
  ['GET', '/world', (moment, call) => ok(worldView(moment, call.query.get('app') ?? undefined))],
  ['GET', '/calls', listCalls],
  ['DELETE', '/calls', clearCalls],
  ['GET', '/faults', (moment) => ok({ faults: moment.state.faults })],
  ['POST', '/faults', addFault],
  ['DELETE', '/faults', clearFaults],
  ['POST', '/outage', setOutage],
  ['POST', '/apps', hand.plantApp],
  ['POST', '/proxy', hand.actAsProxy],
  ['POST', '/machines/{id}/destroy', hand.destroyBehind],
  ['POST', '/machines/{id}/crash', hand.crashMachine],
  ['POST', '/machines/{id}/migrate', hand.migrate],
  ['POST', '/machines/{id}/checks', hand.forceChecks],
  ['POST', '/volumes/{id}/destroy', hand.destroyVolume],
  ['POST', '/certificates/{hostname}/{action}', hand.steerCertificate],
  ['POST', '/regions/{region}', hand.setRegion],
  ['POST', '/hosts/{host}', hand.setHost],
  ['POST', '/registry', hand.seedImage],
  ['POST', '/logs', hand.addLog],
];

const router = createRouter<ControlHandler>(
  table.map(([method, path, route]) => ({ method, path: `${CONTROL_PREFIX}${path}`, route })),
);

/** Answers one request to the control surface. */
export function control(world: World, request: SimulatedRequest, now: number): Answer {
  const found = router.find(request.method, request.path);
  if (found === undefined) return { status: 404, json: { error: 'not found' } };
  const { query, headers, body } = request;
  const moment = world.at(now);
  try {
    return found.route(moment, { params: found.params, query, headers, body, startedAt: moment.now }, world);
  } catch (error) {
    if (error instanceof Refusal) return refusalAnswer(error);
    throw error;
  }
}
