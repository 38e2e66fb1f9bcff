/**
 * E6: is whoever has died, or stands still, replaced in time? Where several daemons share the work, each tenant is soon
 * somebody's again: a lease lasts so long, then another one takes it.
 */
import { tenantKey } from '../../src/reconcilers/tenant/reconcile.ts';
import type { Stage } from './stage.ts';

/** A lease, and what it takes to notice that it is over, to take it, and to share with who has come. */
const REPLACED_WITHIN_MS = 30_000;
/** A call about leases that is lost is given up after so long. */
const LOST_CALL_MS = 15_000;
const LOOK_EVERY_MS = 2_000;

/** Looks now and then until the history ends. */
export function watchSuccession({ history, kernel, scene, verdicts }: Stage): void {
  const { replicas = 1 } = history;
  if (replicas === 1) return;
  let seen = '';
  let upsetMs = kernel.now();
  /** Since when those are nobody's that are. */
  const nobodysSinceMs = new Map<string, number>();

  function look(): void {
    const { births, daemons, wire } = scene;
    const lost = wire.hits.filter(({ site }) => site.startsWith('leases.')).length;
    const asleep = daemons.some(({ process }) => process.awakeSinceMs > kernel.now());
    const now = `${births} ${daemons.length} ${lost}`;
    if (asleep || now !== seen) upsetMs = kernel.now() + (lost > 0 ? LOST_CALL_MS : 0);
    seen = now;
    for (const { metadata } of scene.tenants.list().items) {
      const { name, uid } = metadata;
      // One that is handed over is nobody's for a moment.
      if (daemons.some(({ elector }) => elector.holdingOf(tenantKey(metadata)) !== undefined))
        nobodysSinceMs.delete(uid);
      else if (!nobodysSinceMs.has(uid)) nobodysSinceMs.set(uid, kernel.now());
      const sinceMs = Math.max(upsetMs, nobodysSinceMs.get(uid) ?? Infinity);
      verdicts.check('E6', kernel.now() < sinceMs + REPLACED_WITHIN_MS, () => `tenant ${name} is nobody's`);
    }
    wire.outside.later(LOOK_EVERY_MS, look);
  }
  look();
}
