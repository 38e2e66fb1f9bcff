/** The app on Fly that holds everything else. Its name is unique on all of Fly, and is our mark. */
import { appOf, graceLeftMs, LOOK_INTERVAL_MS, type PlanInput } from '../input.ts';
import { NAMED_GRACE_MS } from '../settings.ts';
import { blocked, settled, waiting, working, type PartPlan } from '../steps.ts';

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
  if (graceLeftMs(input, 'app', NAMED_GRACE_MS) > 0)
    return waiting({
      reason: 'AppNotVisibleYet',
      message: `app "${app}" was asked for and does not show yet`,
      retryAfterMs: LOOK_INTERVAL_MS,
    });
  return working('CreatingApp', `app "${app}" is being created`, [
    { kind: 'createApp', app, target: app, why: 'the app does not exist', intent: 'app' },
  ]);
}
