/**
 * How does the CLI watch a tenant being built? By two streams: that of the checkout, which decides over the purchase,
 * and in late eras that of the tenant, behind which it falls back to asking for the status.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { CliError } from './http.ts';
import { requireEra } from './eras.ts';
import { option } from './serde.ts';
import type { Session } from './session.ts';
import { readStream } from './sse.ts';
import { status } from './tenants.ts';

const EVENT_TYPES = [
  'subscription_created',
  'tenant_created',
  'database_created',
  'secrets_stored',
  'vm_provisioning_started',
  'vm_provisioning_progress',
  'vm_provisioned',
  'secrets_configured',
  'infrastructure_ready',
  'tenant_ready',
  'provisioning_failed',
] as const;

const text = z.string();
const tenantEvent = z.object({
  tenant_id: text,
  event_type: z.enum(EVENT_TYPES),
  status: text,
  message: option(text),
  app_url: option(text),
  fly_app_name: option(text),
});
const checkoutEvent = tenantEvent.extend({ checkout_session_id: text, tenant_name: text });

export type CheckoutEvent = z.infer<typeof checkoutEvent>;

/** Sixty times two seconds, in the CLI. */
const MOST_POLLS = 60;
const POLL_INTERVAL_MS = 2_000;

export interface Watcher {
  /** What the user reads, line by line. */
  readonly show: (line: string) => void;
  /** Frames that the CLI drops in silence. */
  readonly onDropped: (text: string) => void;
  /** Instead of the CLI's two seconds. */
  readonly pollIntervalMs?: number;
}

/** Follows a checkout to its end. Throws CliError when it fails, or when the stream ends before: nothing else is tried. */
export async function followCheckout(
  { http, asOperator }: Session,
  checkoutId: string,
  watcher: Watcher,
): Promise<{ readonly tenantId: string; readonly needsDeploy: boolean; readonly events: CheckoutEvent[] }> {
  const call = asOperator({ method: 'GET', path: `/api/v1/checkout/${checkoutId}/events` });
  const events: CheckoutEvent[] = [];
  const reader = { names: ['provisioning'], schema: checkoutEvent, onDropped: watcher.onDropped };
  for await (const event of readStream(http, call, reader)) {
    events.push(event);
    watcher.show(event.message ?? event.event_type);
    if (event.event_type === 'provisioning_failed')
      throw new CliError(event.message ?? 'Provisioning failed');
    if (event.event_type === 'infrastructure_ready')
      return { tenantId: event.tenant_id, needsDeploy: true, events };
    if (event.event_type === 'tenant_ready') return { tenantId: event.tenant_id, needsDeploy: false, events };
  }
  throw new CliError('Stream ended');
}

/**
 * Waits as late CLIs do before the first deploy: for `tenant_ready`, which cannot come before it. The server has to end
 * the stream, so that the status is asked for. Resolves with how it learned that the tenant is ready.
 */
export async function awaitTenant(
  session: Session,
  tenantId: string,
  watcher: Watcher,
): Promise<'stream' | 'status'> {
  requireEra(session.http.era, ['E4'], 'wait for a tenant');
  // Always with the token of the login, never with an exchanged one.
  const call = session.asOperator({ method: 'GET', path: `/api/v1/tenants/${tenantId}/events` });
  const reader = {
    names: ['provisioning', 'message'],
    schema: tenantEvent,
    onDropped: watcher.onDropped,
  };
  let failed: string | undefined;
  try {
    for await (const event of readStream(session.http, call, reader)) {
      watcher.show(event.message ?? event.event_type);
      if (event.event_type === 'tenant_ready') return 'stream';
      if (event.event_type !== 'provisioning_failed') continue;
      failed = event.message ?? 'Provisioning failed';
      break;
    }
  } catch {
    // However the stream ended, the status decides.
  }
  if (failed !== undefined) throw new CliError(failed);
  await pollStatus(session, tenantId, watcher);
  return 'status';
}

/** Errors of single questions are borne. Throws CliError when the tenant failed or the questions are used up. */
async function pollStatus(session: Session, tenantId: string, watcher: Watcher): Promise<void> {
  for (let poll = 0; poll < MOST_POLLS; poll += 1) {
    const now = await status(session, tenantId).catch(() => undefined);
    if (now?.status === 'ready') return;
    if (now?.status === 'failed') throw new CliError(now.message ?? 'Provisioning failed');
    await delay(watcher.pollIntervalMs ?? POLL_INTERVAL_MS);
  }
  throw new CliError('Timed out waiting for the tenant');
}
