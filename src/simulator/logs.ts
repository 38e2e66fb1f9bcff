/**
 * What did the machines say? A bounded log per app, written by what happens to its machines and by the control
 * surface, and read as flyctl reads Fly's: the latest hundred lines, then whatever came after a token.
 */
import { appOf } from './apps.ts';
import { ok, type Answer, type Call } from './call.ts';
import { ulid } from './identifiers.ts';
import { timestamp, type Moment } from './moment.ts';
import { invalid } from './refusal.ts';
import { own, type AppRecord, type LogLine, type MachineRecord } from './state.ts';

/** Fly keeps seven days; so many lines of an app are enough to develop against. */
const MOST_LINES = 500;

/** Fly's page. */
const PAGE_LINES = 100;

/** Writes one line, as the app (`provider: app`) or as the platform (`runner`, `proxy`). */
export function writeLog(
  moment: Moment,
  source: { app: AppRecord; machine?: MachineRecord },
  line: { message: string; provider: 'app' | 'runner' | 'proxy'; level?: string },
): void {
  const { state, now } = moment;
  const lines = own(state.logs, source.app.name) ?? [];
  const last = lines.at(-1);
  lines.push({
    id: ulid(state, now),
    at: now,
    nth: last?.at === now ? last.nth + 1 : 0,
    message: line.message,
    level: line.level ?? 'info',
    instance: source.machine?.id ?? '',
    region: source.machine?.region ?? '',
    provider: line.provider,
  });
  state.logs[source.app.name] = lines.length > MOST_LINES ? lines.slice(-MOST_LINES) : lines;
}

function lineView(line: LogLine): Record<string, unknown> {
  const { id, at, message, level, instance, region, provider } = line;
  return {
    id,
    attributes: {
      timestamp: timestamp(at),
      message,
      level,
      instance,
      region,
      meta: { instance, region, event: { provider } },
    },
  };
}

/** Nanoseconds since the epoch: lines of one millisecond are told apart by counting them. */
function tokenOf({ at, nth }: LogLine): string {
  return `${at}${String(nth).padStart(6, '0')}`;
}

/** `GET /api/v1/apps/{app}/logs`; tokens are nanoseconds since the epoch, and anybody may invent one. */
export function readLogs(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const token = call.query.get('next_token') ?? '';
  if (!/^[0-9]{0,20}$/.test(token)) throw invalid('next_token must be a number of nanoseconds');
  const after = BigInt(token === '' ? 0 : token);
  const instance = call.query.get('instance') ?? '';
  const region = call.query.get('region') ?? '';
  const matching = (own(moment.state.logs, app.name) ?? []).filter(
    (line) =>
      (instance === '' || line.instance === instance) &&
      (region === '' || line.region === region) &&
      BigInt(tokenOf(line)) > after,
  );
  const page = token === '' ? matching.slice(-PAGE_LINES) : matching.slice(0, PAGE_LINES);
  const last = page.at(-1);
  return ok({ data: page.map(lineView), meta: { next_token: last === undefined ? token : tokenOf(last) } });
}
