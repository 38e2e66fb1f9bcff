/**
 * How does a client follow tenants as they change? Kubernetes' watch: one line of JSON a change, from a
 * resourceVersion on, or from the present state when none is given. A version that is too old ends the watch with
 * an ERROR line that carries the 410, and the client lists anew.
 */
import type { Clock } from '../../clock.ts';
import { GoneError, InvalidError, type TenantStore, type WatchEvent } from '../../store/store.ts';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { asParameterError } from '../edge.ts';
import { toApiError } from '../errors.ts';
import type { Stream } from '../streams.ts';
import type { ListQuery } from './query.ts';
import { listTenants } from './read.ts';
import type { Representation } from './representation.ts';
import { createSelection, type ChangeType, type Selection } from './selection.ts';
import { failureStatus } from './status.ts';
import { TENANT_COLUMNS, toTable } from './table.ts';

export interface WatchRequest {
  readonly store: TenantStore;
  readonly clock: Clock;
  readonly representation: Representation;
  readonly query: ListQuery;
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined;
}

/** The API server ends a watch after 30 to 60 minutes, at random so that clients do not come back all at once. */
const SHORTEST_WATCH_MS = 30 * 60_000;
const LONGEST_WATCH_MS = 2 * SHORTEST_WATCH_MS;

/** How long a watch may last, in milliseconds. */
export function watchLifetimeMs(query: ListQuery, clock: Clock): number {
  if (query.timeoutSeconds !== undefined) return Math.min(query.timeoutSeconds * 1000, LONGEST_WATCH_MS);
  return SHORTEST_WATCH_MS + clock.random() * (LONGEST_WATCH_MS - SHORTEST_WATCH_MS);
}

/** Writes the watch until the stream is over. */
export async function writeWatch(request: WatchRequest, stream: Stream): Promise<void> {
  try {
    await follow(request, stream);
  } catch (error) {
    // Only what the client can mend is told; a lost connection just ends the watch, and the client resumes.
    if (!(error instanceof GoneError || error instanceof InvalidError)) throw error;
    await stream.write(line('ERROR', failureStatus(toApiError(asParameterError(error)))));
  }
}

async function follow(request: WatchRequest, stream: Stream): Promise<void> {
  const { store, query, namespace } = request;
  const select = createSelection(query);
  const show = presenter(request);
  const scope = namespace ?? query.fields.namespace;
  const resourceVersion = await begin(request, { select, show, stream });
  const changes = store.watch({
    resourceVersion,
    ...(scope !== undefined && { namespace: scope }),
    signal: stream.signal,
  });
  for await (const event of changes) {
    const text = describe(event, { select, show, bookmarks: query.allowWatchBookmarks });
    if (text !== undefined) await stream.write(text);
  }
}

/** Writes the present state where it was asked for. Answers the version from which changes are to follow. */
async function begin(
  { store, query, namespace }: WatchRequest,
  { select, show, stream }: { readonly select: Selection; readonly show: Show; readonly stream: Stream },
): Promise<string> {
  const fromNow = query.resourceVersion === undefined || query.sendInitialEvents;
  if (!fromNow && query.labels.text === '') return query.resourceVersion;
  const { limit: _limit, continue: _continue, ...whole } = query;
  const { items, metadata } = await listTenants(store, whole, namespace);
  select.remember(items);
  if (!fromNow) return query.resourceVersion;
  select.caughtUp();
  for (const tenant of items) await stream.write(line('ADDED', show(tenant)));
  if (query.sendInitialEvents && query.allowWatchBookmarks)
    await stream.write(
      line('BOOKMARK', show(bookmark(metadata.resourceVersion, { [INITIAL_EVENTS_END]: 'true' }))),
    );
  return metadata.resourceVersion;
}

function describe(
  event: WatchEvent,
  options: { readonly select: Selection; readonly show: Show; readonly bookmarks: boolean },
): string | undefined {
  const { select, show, bookmarks } = options;
  if (event.type === 'BOOKMARK') {
    // The store's first one says that the backlog is through.
    select.caughtUp();
    return bookmarks ? line('BOOKMARK', show(bookmark(event.resourceVersion))) : undefined;
  }
  const type = select.translate(event.type, event.tenant);
  return type === undefined ? undefined : line(type, show(event.tenant));
}

type Show = (object: Tenant | Bookmark) => object;

/** How objects look in this watch: as they are, or each as a table, of which the first one names the columns. */
function presenter({ representation, clock }: WatchRequest): Show {
  if (representation.as === 'object') return (object) => object;
  const { includeObject } = representation;
  let headed = true;
  return (object) => {
    const { metadata } = object;
    const items = 'spec' in object ? [object] : [];
    const table = toTable(
      TENANT_COLUMNS,
      { items, metadata: { resourceVersion: metadata.resourceVersion } },
      { includeObject, now: clock.now(), headed },
    );
    headed = false;
    if (items.length > 0) return table;
    const partial = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
    return { ...table, rows: [{ cells: TENANT_COLUMNS.map(() => null), object: partial }] };
  };
}

interface Bookmark {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: typeof KIND;
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** By this annotation clients that asked for initial events know that they have them all. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

function bookmark(resourceVersion: string, annotations?: Readonly<Record<string, string>>): Bookmark {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { resourceVersion, ...(annotations && { annotations }) },
  };
}

function line(type: ChangeType | 'BOOKMARK' | 'ERROR', object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}
