/**
 * How are changes followed? By watches of a minute or so, one after the other, each from the last version that the one
 * before has told: the server ends each at its time, and a connection that died unnoticed is found out soon after it.
 * The server says by no event that the backlog is through, and tells a version of its own only now and then. So each
 * watch waits until the server has caught up with etcd and then for a moment of quiet, and says with a bookmark that
 * there is nothing else up to the version last seen. That version is never a guess, only the moment is.
 */
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { within } from '../../database/within.ts';
import type { KubernetesClient, KubernetesStream } from '../../kubernetes/client.ts';
import { KubernetesError, refusal } from '../../kubernetes/errors.ts';
import { InvalidError, type TenantStore, type WatchEvent } from '../store.ts';
import type { Decoder } from './decode.ts';
import { inStoreTerms } from './failures.ts';
import { awaitFreshness } from './reads.ts';
import { collectionPath, isLabel } from './resource.ts';
import type { UidIndex } from './uid-index.ts';

export interface WatchOptions {
  readonly client: KubernetesClient;
  readonly decoder: Decoder;
  readonly uids: UidIndex;
  readonly clock: Clock;
  /** Shorter than the time after which a consumer takes a silent watch for dead; spread by a fifth. */
  readonly lifetimeMs: number;
  /** Nothing for so long, once the server is up to date: the backlog is through. */
  readonly quietMs: number;
}

type Watched = Parameters<TenantStore['watch']>[0];

/** How much later than at its time a watch may end before its connection is taken for dead. */
const END_GRACE_MS = 10_000;
/** The server's clock and ours do not start together. */
const END_TOLERANCE_MS = 2_000;
/** What a complete version looks like; 0 and none mean "whatever you have", which is no place to go on from. */
const VERSION = /^[1-9][0-9]{0,19}$/;

const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']), object: z.unknown() }),
  z.object({ type: z.literal('ERROR'), object: z.unknown() }),
]);
const versionedSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

/** `TenantStore.watch` on an API server. */
export async function* watchTenants(options: WatchOptions, watched: Watched): AsyncGenerator<WatchEvent> {
  if (!VERSION.test(watched.resourceVersion)) throw invalidVersion();
  try {
    yield* watchOnAndOn(options, watched);
  } catch (error) {
    if (watched.signal.aborted) return;
    throw error instanceof KubernetesError ? inStoreTerms('watch tenants', error) : error;
  }
}

/** One watch after the other, until the signal aborts. */
async function* watchOnAndOn(options: WatchOptions, watched: Watched): AsyncGenerator<WatchEvent> {
  const { signal } = watched;
  let position = watched.resourceVersion;
  while (!signal.aborted)
    for await (const { resourceVersion, told } of watchOnce(options, {
      ...watched,
      resourceVersion: position,
    })) {
      position = resourceVersion;
      if (told !== undefined) yield told;
      // The consumer may have aborted while it had that one.
      if (isAborted(signal)) return;
    }
}

/** What was heard, and up to which version that is everything. */
interface Heard {
  readonly resourceVersion: string;
  /** Absent when it is of no use to anybody. */
  readonly told?: WatchEvent;
}

/** One watch, from its opening to the end that the server puts to it. */
async function* watchOnce(options: WatchOptions, watched: Watched): AsyncGenerator<Heard> {
  const { client, clock } = options;
  const { namespace, signal } = watched;
  if (namespace !== undefined && !isLabel(namespace)) throw invalidNamespace();
  const lifetimeSeconds = Math.round((options.lifetimeMs * (0.8 + 0.4 * clock.random())) / 1_000);
  const path = collectionPath(namespace, {
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion: watched.resourceVersion,
    timeoutSeconds: lifetimeSeconds,
  });
  const stream = await client.stream({ path, signal });
  try {
    await awaitFreshness(client, { namespace, signal });
    const endsAt = clock.monotonic() + lifetimeSeconds * 1_000;
    yield* listen(options, { stream, watched, overdueAt: endsAt + END_GRACE_MS });
    // A server that goes down ends its watches, too: whoever follows is to wait a little before the next one.
    if (!isAborted(signal) && clock.monotonic() < endsAt - END_TOLERANCE_MS) throw endedEarly();
  } finally {
    stream.close();
  }
}

/** Every line of a watch, with a bookmark at the first moment of quiet. */
async function* listen(
  options: WatchOptions,
  watch: { readonly stream: KubernetesStream; readonly watched: Watched; readonly overdueAt: number },
): AsyncGenerator<Heard> {
  const { clock, quietMs } = options;
  const { signal } = watch.watched;
  let position = watch.watched.resourceVersion;
  let caughtUp = false;
  let coming = next(watch.stream);
  for (;;) {
    const limitMs = caughtUp ? watch.overdueAt - clock.monotonic() : quietMs;
    const line = await within(coming, { clock, limitMs, signal });
    if (signal.aborted) return;
    if (line === 'late') {
      if (caughtUp) throw overdue();
      caughtUp = true;
      yield { resourceVersion: position, told: { type: 'BOOKMARK', resourceVersion: position } };
      continue;
    }
    if (line.done === true) return;
    coming = next(watch.stream);
    const heard = decodeLine(options, line.value);
    position = heard.resourceVersion;
    yield heard;
  }
}

/** The next line. Its failure is looked at when it is waited for, which may be never. */
function next({ lines }: KubernetesStream): Promise<IteratorResult<string, void>> {
  const line = lines.next();
  line.catch(() => undefined);
  return line;
}

function decodeLine({ decoder, uids }: WatchOptions, line: string): Heard {
  const { type, object } = parseLine(line);
  if (type === 'ERROR') throw refusal({ body: object });
  const { resourceVersion } = versionedSchema.parse(object).metadata;
  if (type === 'BOOKMARK') return { resourceVersion, told: { type, resourceVersion } };
  const tenant = type === 'DELETED' ? decoder.outline(object) : decoder.decode(object);
  if (tenant === undefined) return { resourceVersion };
  if (type === 'DELETED') uids.forget(tenant.metadata.uid);
  else uids.learn(tenant);
  return { resourceVersion, told: { type, tenant } };
}

function parseLine(line: string): z.infer<typeof eventSchema> {
  try {
    return eventSchema.parse(JSON.parse(line));
  } catch {
    throw new KubernetesError('what came is no event of a watch', { kind: 'unavailable' });
  }
}

function overdue(): KubernetesError {
  return new KubernetesError('the API server did not end the watch at its time: the connection is dead', {
    kind: 'unavailable',
  });
}

function endedEarly(): KubernetesError {
  return new KubernetesError('the API server ended the watch before its time', { kind: 'unavailable' });
}

/** A function, because an abort happens behind the back of what the compiler can follow. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

function invalidVersion(): InvalidError {
  const message = 'must be one that a list, a watch or a write has answered with';
  return new InvalidError(`cannot watch tenants: resourceVersion ${message}`, [
    { path: 'resourceVersion', message },
  ]);
}

function invalidNamespace(): InvalidError {
  const message = 'must be the name of a namespace';
  return new InvalidError(`cannot watch tenants: namespace ${message}`, [{ path: 'namespace', message }]);
}
