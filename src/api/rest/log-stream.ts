/**
 * How does one watch a tenant's log grow? Server-sent events, one a line. Fly pushes nothing here, so its log is asked
 * again and again, soon while lines come and ever less often while none do, as Fly's own client does it.
 */
import { encode, encodeComment } from 'eventsource-encoder';
import type { Logger } from 'pino';
import { sleep, type Clock } from '../../clock.ts';
import type { LogLine, Platform } from '../dependencies.ts';
import type { Stream } from '../streams.ts';
import { page, positionOf, type LogQuery } from './logs.ts';

export interface FollowOptions {
  readonly platform: Platform;
  readonly clock: Clock;
  readonly log: Logger;
  readonly query: LogQuery;
  /** Where the client has stopped reading; undefined: at the newest lines, or at the query's time. */
  readonly position: string | undefined;
}

const POLL_MS = { shortest: 500, longest: 4_000 };
/** Proxies cut connections that are silent for a minute. */
const HEARTBEAT_MS = 15_000;
/** Fly's logs have no promise of being there; a stream that gets nothing from them for so long is ended. */
const MOST_FAILURES = 10;
/** Pages overlap at their edges; ids of so many lines are remembered. */
const REMEMBERED = 1_000;

/** Writes lines until the stream is over, or Fly's log has failed too often in a row. */
export async function followLogs(options: FollowOptions, stream: Stream): Promise<void> {
  const { query, clock } = options;
  const seen = new Set<string>();
  let position = options.position ?? (query.sinceMs === undefined ? undefined : positionOf(query.sinceMs));
  let pauseMs = POLL_MS.shortest;
  let failures = 0;
  let spokeAt = clock.monotonic();
  while (!stream.signal.aborted && failures < MOST_FAILURES) {
    const found = await nextPage(options, position, stream.signal);
    failures = found === undefined ? failures + 1 : 0;
    const fresh = (found?.lines ?? []).filter(({ id }) => !seen.has(id));
    position = found?.nextToken ?? position;
    const text = frames(fresh.filter(query.wanted), { position, first: seen.size === 0, lines: query.lines });
    remember(seen, fresh);
    if (text !== '') await stream.write(text);
    else if (clock.monotonic() - spokeAt >= HEARTBEAT_MS) await stream.write(encodeComment('heartbeat'));
    if (text !== '' || clock.monotonic() - spokeAt >= HEARTBEAT_MS) spokeAt = clock.monotonic();
    pauseMs = fresh.length > 0 ? POLL_MS.shortest : Math.min(pauseMs * 2, POLL_MS.longest);
    await sleep(clock, pauseMs, stream.signal);
  }
}

/** Undefined when Fly's log did not answer. */
async function nextPage(
  { platform, query, log }: FollowOptions,
  position: string | undefined,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<Platform['logs']>> | undefined> {
  try {
    return await page(platform, query, position, signal);
  } catch (error) {
    if (!signal.aborted)
      log.debug({ err: error, app: query.app }, 'cannot read the log of an app; asking again');
    return undefined;
  }
}

/** The position goes with the last line of a page: whoever resumes there misses none and gets none twice. */
function frames(
  lines: readonly LogLine[],
  { position, first, lines: most }: { position: string | undefined; first: boolean; lines: number },
): string {
  const shown = first ? lines.slice(-most) : lines;
  return shown
    .map((line, index) =>
      encode({
        event: 'log',
        data: JSON.stringify(line),
        ...(index === shown.length - 1 && position !== undefined && { id: position }),
      }),
    )
    .join('');
}

function remember(seen: Set<string>, lines: readonly LogLine[]): void {
  for (const { id } of lines) seen.add(id);
  for (const id of seen) {
    if (seen.size <= REMEMBERED) break;
    seen.delete(id);
  }
}
