/** How is a step on the app carried out? Apart from act.ts because a new app has to be waited for. */
import { sleep } from '../../clock.ts';
import { FlyError } from '../../fly/errors.ts';
import type { Fly } from '../../fly/fly.ts';
import { done, type Acted, type ActContext, type ActDependencies } from './acted.ts';
import type { Step } from './steps.ts';

/** Carries out one step on the app. */
export async function actOnApp(
  { fly }: ActDependencies,
  step: Extract<Step, { kind: 'createApp' | 'deleteApp' }>,
  context: ActContext,
): Promise<Acted> {
  const { signal } = context;
  const name = step.app;
  if (step.kind === 'deleteApp') {
    await fly.apps.delete(name, signal);
    return done((observed) => ({ ...observed, app: undefined }), 'AppDeleted', `app "${name}" is deleted`);
  }
  try {
    const { id } = await fly.apps.create({ name }, signal);
    await untilVisible(fly, name, context);
    return done((observed) => ({ ...observed, app: { id, name } }), 'AppCreated', `app "${name}" is created`);
  } catch (error) {
    if (!(error instanceof FlyError) || error.reason !== 'NameTaken') throw error;
    // The name is derived from the tenant's id: if we can see the app, an earlier call of ours made it.
    const app = await fly.apps.get(name, signal);
    if (app === undefined) throw error;
    return done((observed) => ({ ...observed, app }), 'AppFound', `app "${name}" exists already`);
  }
}

/** So many looks fit into Fly's burst; whatever is not visible after them meets its 404 and is waited for. */
const VISIBILITY_LOOKS = 3;
const VISIBILITY_INTERVAL_MS = 150;

/** For a moment after its creation an app answers 404 to whatever is asked of it: nothing in it can be made before. */
async function untilVisible(fly: Fly, name: string, { clock, signal }: ActContext): Promise<void> {
  for (let look = 1; look <= VISIBILITY_LOOKS && !signal.aborted; look += 1) {
    if ((await fly.apps.get(name, signal).catch(() => undefined)) !== undefined) return;
    await sleep(clock, look * VISIBILITY_INTERVAL_MS, signal);
  }
}
