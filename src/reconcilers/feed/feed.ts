/**
 * Which tenants' machines or volumes changed behind our back? One poll of the whole organisation tells, whatever
 * the number of tenants: two calls every few seconds instead of some for every tenant. The feed only wakes keys;
 * what it misses, the slow sweep of each tenant finds.
 */
import type { Logger } from 'pino';
import { sleep, type Clock } from '../../clock.ts';
import type { Fly, OrgPage } from '../../fly/fly.ts';

/** Drift found within seconds is soon enough: 24 calls a minute, however many tenants there are. */
const INTERVAL_MS = 5_000;
/** Fly allows one call a second for each list to the whole organisation: with many replicas each polls less often. */
const SPACING_MS = 1_500;
/** Changes appear late in Fly's lists, so every window reaches back over the one before. */
const OVERLAP_MS = 15_000;
/** Ten thousand changes in one window; what is beyond is found by the next window or by the sweep. */
const MOST_PAGES = 10;

export interface FlyFeedOptions {
  readonly fly: Pick<Fly, 'organisation'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many others poll as well, this one among them: each finds what changed for its own tenants. */
  readonly replicas: () => number;
  /** Called for each app of which something changed; apps of nobody are for the callee to ignore. */
  readonly onChange: (app: string) => void;
}

export interface FlyFeed {
  start(): void;
  stop(): Promise<void>;
}

interface Changed {
  readonly id: string;
  readonly app_name: string;
  readonly state: string;
  readonly updated_at?: string;
}

export function createFlyFeed({ fly, clock, log, replicas, onChange }: FlyFeedOptions): FlyFeed {
  const stopping = new AbortController();
  let running = Promise.resolve();
  /** What was told already within the overlap, so that one change wakes a tenant once. */
  let told = new Map<string, string>();

  async function read(
    list: (query: {
      updatedAfter: string;
      cursor?: string;
      includeDeleted: boolean;
    }) => Promise<OrgPage<Changed>>,
    updatedAfter: string,
  ): Promise<Changed[]> {
    const changed: Changed[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const query = { updatedAfter, includeDeleted: true, ...(cursor !== undefined && { cursor }) };
      const { items, nextCursor } = await list(query);
      changed.push(...items);
      if (nextCursor === undefined) break;
      cursor = nextCursor;
    }
    return changed;
  }

  async function poll(sinceMs: number): Promise<void> {
    const updatedAfter = new Date(sinceMs - OVERLAP_MS).toISOString();
    const [machines, volumes] = await Promise.all([
      read((query) => fly.organisation.machines(query, stopping.signal), updatedAfter),
      read((query) => fly.organisation.volumes(query, stopping.signal), updatedAfter),
    ]);
    const seen = new Map<string, string>();
    const apps = new Set<string>();
    for (const item of [...machines, ...volumes]) {
      const mark = `${item.updated_at ?? ''} ${item.state}`;
      if (told.get(item.id) !== mark) apps.add(item.app_name);
      seen.set(item.id, mark);
    }
    told = seen;
    for (const app of apps) onChange(app);
  }

  const isStopping = (): boolean => stopping.signal.aborted;

  async function run(): Promise<void> {
    let sinceMs = clock.now();
    while (!isStopping()) {
      const startedMs = clock.now();
      try {
        await poll(sinceMs);
        sinceMs = startedMs;
      } catch (error) {
        // The next poll reaches back to the last one that succeeded.
        if (!isStopping()) log.warn({ err: error }, 'cannot read the feed of Fly; trying again');
      }
      await sleep(clock, Math.max(INTERVAL_MS, replicas() * SPACING_MS), stopping.signal);
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
