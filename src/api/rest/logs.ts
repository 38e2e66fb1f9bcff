/**
 * What did a tenant's machine say? Fly's log, read for each request: the newest lines, or those since a time; with
 * `follow` it becomes a stream. Fly answers a hundred lines at a time and only forward, so more of the newest lines are
 * looked for by going back as far as the pace of the last hundred suggests.
 */
import { z } from 'zod';
import type { ApiDependencies, LogLine, Platform } from '../dependencies.ts';
import { askOutside, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import type { Streams } from '../streams.ts';
import { followLogs } from './log-stream.ts';
import { madeAppOf, requireCloud, TAG, TENANT } from './tenant-of.ts';

type LogDependencies = Pick<ApiDependencies, 'clock' | 'platform' | 'cloudEnabled' | 'log'> & {
  readonly streams: Streams;
};

const TIMEOUT_MS = 25_000;
const USUAL_LINES = 100;
const MOST_LINES = 1_000;
/** Fly's page. */
const PAGE_LINES = 100;
/** Twice the most lines: lines that are filtered out count for Fly. */
const MOST_PAGES = 20;
/** Fly keeps this much. */
const KEPT_MS = 7 * 86_400_000;
const STREAM = { kind: 'logs', contentType: 'text/event-stream', lifetimeMs: 60 * 60_000 } as const;

/** From the least to the gravest. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time, or how long ago: `15m`, `2h`, `1d`. Becomes a function of the present time. */
const sinceSchema = z.union([
  z.iso.datetime({ offset: true }).transform((text) => () => Date.parse(text)),
  z
    .string()
    .regex(/^[1-9][0-9]{0,5}[smhd]$/, 'must be a time, or how long ago: 15m, 2h, 1d')
    .transform(
      (text) => (nowMs: number) => nowMs - Number(text.slice(0, -1)) * (UNIT_MS[text.slice(-1)] ?? 0),
    ),
]);

/** Query of `GET /logs`. */
export const logsQuerySchema = z.object({
  lines: z
    .string()
    .regex(/^[1-9][0-9]{0,5}$/, 'must be a whole number from 1')
    .transform((text) => Math.min(Number(text), MOST_LINES))
    .default(USUAL_LINES),
  since: sinceSchema.optional(),
  /** This level and graver ones. */
  level: z.enum(LEVELS).optional(),
  /** Id of one machine. */
  instance: z
    .string()
    .regex(/^[a-z0-9]{1,32}$/, 'must be the id of a machine')
    .optional(),
  follow: z.enum(['0', '1', 'false', 'true', '']).optional(),
});

/** The header with which a stream is resumed: the position that came as the last event's id. */
export const logsHeadersSchema = z.object({
  'last-event-id': z
    .string()
    .regex(/^[0-9]{1,20}$/, 'must be the id of an event')
    .optional(),
});

export const logLineSchema = z.object({
  id: z.string(),
  timestamp: z.string(),
  message: z.string(),
  level: z.string().optional(),
  instance: z.string().optional(),
  region: z.string().optional(),
});

/** Answer of `GET /logs` without `follow`: bare, oldest line first. */
export const logsAnswer = z.object({ logs: z.array(logLineSchema) });

/** What is asked of Fly's log. */
export interface LogQuery {
  readonly app: string;
  readonly instance: string | undefined;
  readonly wanted: (line: LogLine) => boolean;
  readonly lines: number;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number | undefined;
}

export function logRoute(routes: Routes, dependencies: LogDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/logs`,
      summary: 'What the machine said; with follow, as a stream of what it says',
      tag: TAG,
      access: 'owner',
      query: logsQuerySchema,
      answers: { 200: logsAnswer },
      streams: true,
      errors: ['not_provisioned', 'cloud_disabled'],
    },
    async ({ identity, tenant, query, request, reply }) => {
      requireCloud(dependencies);
      const { clock, platform, streams, log } = dependencies;
      const position = parse(logsHeadersSchema, request.headers, 'the headers')['last-event-id'];
      const asked: LogQuery = {
        app: madeAppOf(tenant, 'read the logs of'),
        instance: query.instance,
        wanted: atLeast(query.level),
        lines: query.lines,
        sinceMs: sinceOf(query, clock.now()),
      };
      if (query.follow !== undefined && !['0', 'false'].includes(query.follow)) {
        await streams.serve(reply, { ...STREAM, holder: identity.subject }, (stream) =>
          followLogs({ platform, clock, log, query: asked, position }, stream),
        );
        return reply;
      }
      const problem = `cannot read the logs of tenant "${tenant.metadata.uid}": Fly's logs do not answer`;
      const logs = await askOutside({ reply, clock, timeoutMs: TIMEOUT_MS, problem }, (signal) =>
        readLogs(platform, asked, { signal, nowMs: clock.now() }),
      );
      return { logs };
    },
  );
}

function sinceOf({ since }: z.infer<typeof logsQuerySchema>, nowMs: number): number | undefined {
  const sinceMs = since?.(nowMs);
  if (sinceMs !== undefined && sinceMs > nowMs)
    throw new ApiError('invalid_request', 'cannot read the query: since: must not be in the future');
  return sinceMs;
}

/** The newest lines that are wanted, oldest first, at most `query.lines`. */
async function readLogs(
  platform: Platform,
  query: LogQuery,
  { signal, nowMs }: { readonly signal: AbortSignal; readonly nowMs: number },
): Promise<readonly LogLine[]> {
  const { sinceMs, lines, wanted } = query;
  if (sinceMs !== undefined)
    return readForward(platform, { query, fromMs: Math.max(sinceMs, nowMs - KEPT_MS) }, signal);
  const newest = (await page(platform, query, undefined, signal)).lines;
  const found = newest.filter(wanted);
  const [first] = newest;
  if (found.length >= lines || newest.length < PAGE_LINES || first === undefined) return found.slice(-lines);
  // So many lines took so long; that many more are looked for in half as long again.
  const paceMs = Math.max(1_000, nowMs - Date.parse(first.timestamp)) / Math.max(1, found.length);
  const backMs = Math.min(KEPT_MS, paceMs * lines * 1.5);
  return readForward(platform, { query, fromMs: nowMs - backMs }, signal);
}

/** Reads on from a time up to now, a bounded number of pages, and keeps the newest lines. */
async function readForward(
  platform: Platform,
  { query, fromMs }: { readonly query: LogQuery; readonly fromMs: number },
  signal: AbortSignal,
): Promise<readonly LogLine[]> {
  const found = new Map<string, LogLine>();
  let token = positionOf(fromMs);
  for (let number = 1; number <= MOST_PAGES; number += 1) {
    const { lines, nextToken = token } = await page(platform, query, token, signal);
    for (const line of lines.filter(query.wanted)) found.set(line.id, line);
    if (lines.length < PAGE_LINES || nextToken === token) break;
    token = nextToken;
  }
  return [...found.values()].slice(-query.lines);
}

/** Fly's positions are nanoseconds since the epoch, and anybody may make one up. */
export function positionOf(ms: number): string {
  return `${Math.max(0, Math.floor(ms))}000000`;
}

/** One page of the log after a position; without one, the newest. */
export function page(
  platform: Platform,
  { app, instance }: LogQuery,
  nextToken: string | undefined,
  signal: AbortSignal,
): ReturnType<Platform['logs']> {
  return platform.logs(
    app,
    { ...(nextToken !== undefined && { nextToken }), ...(instance !== undefined && { instance }) },
    signal,
  );
}

/** A line without a level that we know counts as information. */
function atLeast(level: (typeof LEVELS)[number] | undefined): (line: LogLine) => boolean {
  if (level === undefined) return () => true;
  const least = LEVELS.indexOf(level);
  return (line) => {
    const known = LEVELS.findIndex((name) => name === line.level?.toLowerCase());
    return (known === -1 ? LEVELS.indexOf('info') : known) >= least;
  };
}
