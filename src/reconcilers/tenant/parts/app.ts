/** The app on Fly that holds everything else. Its name is unique on all of Fly, and is our mark. */
import { appOf, graceLeftMs, LOOK_INTERVAL_MS, type PlanInput } from '../input.ts';
import { NAMED_GRACE_MS } from '../settings.ts';
import { blocked, settled, waiting, working, type PartPlan } from '../steps.ts';

/** In the journal: the app was asked for. */
export const APP_INTENT = 'app';

/**
 * In the journal: it was asked for once more. The earlier call may take effect after this one has made the app and a
 * deletion has taken it down again, so this one is remembered for longer.
 */
export const APP_AGAIN_INTENT = 'appAgain';

/** As {@link graceLeftMs}, of the app: since it was last asked for. */
export function appGraceLeftMs(input: PlanInput, graceMs: number): number {
  return Math.max(...[APP_INTENT, APP_AGAIN_INTENT].map((intent) => graceLeftMs(input, intent, graceMs)));
}

/** Sets AppReady. Problems: AppNameTaken (somebody else owns the name), AdoptedAppMissing. */
export function planApp(input: PlanInput): PartPlan {
  const { tenant, observed, settings } = input;
  const app = appOf(tenant);
  const owner = observed.app?.organization?.slug;
  if (observed.appTaken || (owner !== undefined && owner !== settings.orgSlug))
    return blocked({
      reason: 'AppNameTaken',
      message: `cannot create app "${app}": another organisation owns that name; free it there or delete this tenant`,
    });
  if (observed.app !== undefined) return settled('Created', `app "${app}" exists`);
  if (tenant.spec.adopt !== undefined)
    return blocked({
      reason: 'AdoptedAppMissing',
      message: `cannot adopt app "${app}": organisation "${settings.orgSlug}" has no such app; create it or delete this tenant`,
    });
  if (appGraceLeftMs(input, NAMED_GRACE_MS) > 0)
    return waiting({
      reason: 'AppNotVisibleYet',
      message: `app "${app}" was asked for and does not show yet`,
      retryAfterMs: LOOK_INTERVAL_MS,
    });
  const intent = tenant.status?.requested?.[APP_INTENT] === undefined ? APP_INTENT : APP_AGAIN_INTENT;
  return working('CreatingApp', `app "${app}" is being created`, [
    { kind: 'createApp', app, target: app, why: 'the app does not exist', intent },
  ]);
}
