/**
 * E2, its other half: what Fly has refused for good is not asked again until somebody has done something. Judged where
 * one daemon serves alone, and remembers: another one need not have heard of it.
 */
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import type { Verdicts } from '../invariants/invariant.ts';
import type { Maker } from '../invariants/maker.ts';
import type { Fate } from './fate.ts';
import type { People } from './people.ts';
import type { Scene } from './scene.ts';

/** Answers that say that the request itself is wrong. */
export const FOR_GOOD: ReadonlySet<string> = new Set<Fate>(['400', '422']);

/** A write to Fly that a daemon gets an answer to. */
export interface Answered {
  readonly operation: string;
  readonly app: string;
  readonly path: string;
  readonly body: string | undefined;
  /** Undefined: what it met was the usual answer. */
  readonly fate: Fate | undefined;
  readonly maker: Maker;
}

/** Is to be told of every answer when it sets out. */
export function createRefusals(options: {
  readonly verdicts: Verdicts;
  readonly scene: Scene;
  readonly people: Pick<People, 'lastActMs'>;
}): (answered: Answered) => void {
  const { verdicts, scene, people } = options;
  const refused = new Map<string, Maker>();

  const tenantOf = (app: string): Tenant | undefined =>
    scene.tenants.list().items.find((tenant) => appOf(tenant) === app);

  /** Whether whoever asks must know of the refusal, and nothing has changed since the pass that met it began to look. */
  function mustKnow(before: Maker, tenant: Tenant, { maker }: Answered): boolean {
    const mishap = scene.wire.hits.some(
      ({ site, atMs }) => !site.startsWith('fly.') && atMs >= before.sinceMs,
    );
    return (
      before.process === maker.process &&
      before.awakeSinceMs === maker.awakeSinceMs &&
      before.sinceMs < maker.sinceMs &&
      people.lastActMs(tenant.metadata.name) < before.sinceMs &&
      // What goes wrong between the daemon and its own databases may cost the memory of it.
      !mishap
    );
  }

  return (answered) => {
    const { operation, app, path, body = '', fate = '', maker } = answered;
    const tenant = tenantOf(app);
    // A deletion is tried again by itself.
    if (tenant === undefined || tenant.metadata.deletionTimestamp !== undefined) return;
    const request = `${operation} ${path} ${body}`;
    const before = refused.get(request);
    const again = before !== undefined && mustKnow(before, tenant, answered);
    verdicts.check(
      'E2',
      !again,
      () => `${operation} is asked of ${app} again, although it was refused for good`,
    );
    if (FOR_GOOD.has(fate)) refused.set(request, maker);
    else refused.delete(request);
  };
}
