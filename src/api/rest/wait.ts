/**
 * How does a client wait for its change instead of polling? The answer is held back until the loop has seen the
 * tenant Ready at that generation, says that a person must act, or the time is over. Whatever comes, the change stays
 * accepted: waiting only tells.
 */
import type { FastifyReply } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { TenantStore } from '../../store/store.ts';
import { findCondition, type ConditionType } from '../../tenant/conditions.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { answerSignal } from '../edge.ts';
import { entityTag } from './change.ts';

/**
 * Answers a change: 202, for it is accepted, not done, and the loop does it. With `waitMs` it answers when the change
 * is done, and then 200. Sets status and entity tag; the tenant is as it then stands.
 */
export async function accept(
  { store, clock }: { readonly store: Pick<TenantStore, 'watch'>; readonly clock: Clock },
  options: { readonly reply: FastifyReply; readonly changed: Tenant; readonly waitMs: number | undefined },
): Promise<Tenant> {
  const { reply, changed, waitMs: limitMs } = options;
  const { tenant, done } =
    limitMs === undefined
      ? { tenant: changed, done: false }
      : await waitForReady({ store, clock, changed, limitMs, signal: answerSignal(reply) });
  reply.code(done ? 200 : 202).header('etag', entityTag(tenant));
  return tenant;
}

export interface Waited {
  /** As it stood at the end of the wait. */
  readonly tenant: Tenant;
  /** True when Fly is as the change wanted it. */
  readonly done: boolean;
}

/** Waits for at most `limitMs` until the generation that `changed` has is Ready or Stalled. Never throws for the wait's sake. */
export async function waitForReady(options: {
  readonly store: Pick<TenantStore, 'watch'>;
  readonly clock: Clock;
  readonly changed: Tenant;
  readonly limitMs: number;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}): Promise<Waited> {
  const { store, clock, changed } = options;
  const { generation, uid, namespace, resourceVersion } = changed.metadata;
  let tenant = changed;
  if (holds(tenant, 'Ready', generation)) return { tenant, done: true };
  const over = new AbortController();
  const cancel = clock.setTimer(options.limitMs, () => over.abort());
  const signal = AbortSignal.any([over.signal, options.signal]);
  try {
    for await (const event of store.watch({ resourceVersion, namespace, signal })) {
      if (event.type === 'BOOKMARK' || event.tenant.metadata.uid !== uid) continue;
      tenant = event.tenant;
      if (event.type === 'DELETED' || holds(tenant, 'Stalled', generation)) break;
      if (holds(tenant, 'Ready', generation)) return { tenant, done: true };
    }
  } catch {
    // The watch broke: the change is accepted all the same, and that is what is answered.
  } finally {
    cancel();
  }
  return { tenant, done: false };
}

function holds({ status }: Tenant, type: ConditionType, generation: number): boolean {
  const condition = findCondition(status?.conditions, type);
  return condition?.status === 'True' && condition.observedGeneration >= generation;
}
