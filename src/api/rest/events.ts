/**
 * How does a client see its tenant being built? Server-sent events: first what has happened, then what happens. Of a
 * tenant that awaits its first deploy the stream ends once the infrastructure stands, because the CLI waits for that
 * end before it deploys; `?follow=1` keeps it open.
 */
import { encode, encodeComment } from 'eventsource-encoder';
import { sleep } from '../../clock.ts';
import type { StoredEvent } from '../../store/store.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Stream } from '../streams.ts';
import { eventName, INFRASTRUCTURE_READY, OVERCOME_FAILURE, PROVISIONING_FAILED } from './event-names.ts';
import { appOf } from './tenant-of.ts';
import { addressOf, coarseStatus } from './view.ts';

export interface EventStreamRequest extends Pick<
  ApiDependencies,
  'store' | 'events' | 'clock' | 'subdomainSuffix'
> {
  readonly tenant: Tenant;
  /** Id of the last event that the client has; 0 for none. */
  readonly afterId: number;
  readonly follow: boolean;
  /** More fields of every frame, such as the checkout that the stream is about. */
  readonly extra?: Readonly<Record<string, string>>;
}

/** Proxies cut connections that are silent for a minute; also how soon the end of a tenant is noticed. */
export const HEARTBEAT_MS = 15_000;
const HISTORY_PAGE = 100;

/** Writes history, then live events, until the stream is over. */
export async function writeEvents(request: EventStreamRequest, stream: Stream): Promise<void> {
  const history = await replay(request, stream, request.afterId);
  if (!request.follow && (await awaitsDeploy(request, history.infrastructureReady))) {
    // The event that made it so can have come between the two reads.
    await replay(request, stream, history.lastId);
    return;
  }
  await Promise.all([followLive(request, stream, history.lastId), keepAlive(request, stream)]);
}

interface History {
  /** Id of the last event written. */
  readonly lastId: number;
  /** True when one of them said so. */
  readonly infrastructureReady: boolean;
}

/** Writes what has happened after the event `fromId`. */
async function replay(request: EventStreamRequest, stream: Stream, fromId: number): Promise<History> {
  const { uid } = request.tenant.metadata;
  let history: History = { lastId: fromId, infrastructureReady: false };
  let page: readonly StoredEvent[];
  do {
    page = await request.events.list(uid, {
      afterId: history.lastId,
      limit: HISTORY_PAGE,
    });
    // After the events: a failure among them that stands is in the tenant's status by now.
    const tenant = await request.store.getByUid(uid);
    const overcome = tenant !== undefined && coarseStatus(tenant) !== 'failed';
    for (const event of page) {
      await stream.write(frame(event, request, overcome));
      history = { lastId: event.id, infrastructureReady: history.infrastructureReady || saysReady(event) };
    }
  } while (page.length === HISTORY_PAGE && !stream.signal.aborted);
  return history;
}

async function followLive(request: EventStreamRequest, stream: Stream, afterId: number): Promise<void> {
  const { uid } = request.tenant.metadata;
  for await (const event of request.events.watch(uid, { afterId, signal: stream.signal })) {
    await stream.write(frame(event, request, false));
    if (!request.follow && saysReady(event) && (await awaitsDeploy(request, true))) stream.end();
  }
  stream.end();
}

/** Comments keep the connection open; the tenant is looked up each time, since nothing is written once it is gone. */
async function keepAlive({ store, clock, tenant }: EventStreamRequest, stream: Stream): Promise<void> {
  for (;;) {
    await sleep(clock, HEARTBEAT_MS, stream.signal);
    if (stream.signal.aborted) return;
    if ((await store.getByUid(tenant.metadata.uid)) === undefined) {
      stream.end();
      return;
    }
    await stream.write(encodeComment('heartbeat'));
  }
}

/** True when nothing more will come without a deploy: the infrastructure stands, and there is no image to run. */
async function awaitsDeploy(
  { store, tenant }: EventStreamRequest,
  infrastructureReady: boolean,
): Promise<boolean> {
  const current = await store.getByUid(tenant.metadata.uid);
  if (current === undefined) return true;
  return (
    current.spec.image === undefined && (infrastructureReady || current.status?.phase === 'awaiting_deploy')
  );
}

function saysReady(event: StoredEvent): boolean {
  return eventName(event.reason, '').event_type === INFRASTRUCTURE_READY;
}

function frame(
  event: StoredEvent,
  { tenant, subdomainSuffix, extra }: EventStreamRequest,
  overcome: boolean,
): string {
  const known = eventName(event.reason, tenant.status?.phase ?? 'pending');
  const name = overcome && known.event_type === PROVISIONING_FAILED ? OVERCOME_FAILURE : known;
  const { url } = addressOf(tenant, subdomainSuffix);
  // Derived from the id, so it is known before the app exists.
  const app = appOf(tenant);
  return encode({
    event: 'provisioning',
    id: event.id,
    data: JSON.stringify({
      ...extra,
      tenant_id: tenant.metadata.uid,
      ...name,
      message: event.message,
      app_url: url,
      url,
      fly_app_name: app,
      app_id: app,
      reason: event.reason,
      severity: event.type === 'Warning' ? 'warning' : 'info',
      count: event.count,
      timestamp: event.lastAt,
    }),
  });
}
