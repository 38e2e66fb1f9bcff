/**
 * E2, of what nobody refuses: an image that does not boot is tried again, but not at once. Judged where one daemon serves
 * alone and its clock is not changed.
 */
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import type { Verdicts } from '../invariants/invariant.ts';
import type { Made } from '../invariants/maker.ts';
import type { FlyCall } from './fly-http.ts';
import { isBroken, type People } from './people.ts';
import type { Scene } from './scene.ts';

const BOOTS: ReadonlySet<string> = new Set(['Machines_create', 'Machines_start']);
/** Landlord promises a minute between one attempt of a kind and the next; from call to call it may seem a little less. */
const LEAST_MS = 50_000;

/** Is to be told of every write that takes effect. */
export function createVainBoots(options: {
  readonly verdicts: Verdicts;
  readonly scene: Scene;
  readonly people: Pick<People, 'lastActMs'>;
}): (call: FlyCall) => void {
  const { verdicts, scene, people } = options;
  const tried = new Map<string, Made>();

  return ({ operation, app = '', made }) => {
    if (!BOOTS.has(operation)) return;
    const tenant = scene.tenants.list().items.find((one) => appOf(one) === app);
    if (tenant === undefined || !isBroken(tenant.spec.image)) return;
    // Whoever has not heard of an attempt knows of nothing that was in vain.
    if (scene.wire.hits.some((hit) => hit.site === `fly.${operation}` && hit.app === app)) return;
    const attempt = `${operation} ${app}`;
    const before = tried.get(attempt);
    const again =
      before !== undefined &&
      before.process === made.process &&
      before.awakeSinceMs === made.awakeSinceMs &&
      people.lastActMs(tenant.metadata.name) < before.sinceMs;
    verdicts.check(
      'E2',
      !again || made.beganMs - before.beganMs >= LEAST_MS,
      () => `${operation} is asked of ${app} again at once, although its image does not boot`,
    );
    tried.set(attempt, made);
  };
}
