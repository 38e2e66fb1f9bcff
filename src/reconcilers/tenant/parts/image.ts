/**
 * What does `spec.image` mean? A tag can be moved by somebody else, so it is resolved once a generation and the
 * digest is pinned in status before any machine gets it.
 */
import { graceLeftMs, type PlanInput } from '../input.ts';
import { IMAGE_GRACE_MS } from '../settings.ts';
import { blocked, settled, waiting, type PartPlan } from '../steps.ts';

/** How often to ask for an image that was perhaps pushed a moment ago. */
const LOOK_FOR_IMAGE_MS = 3_000;

/** Journal key of the first time at which this generation's image was looked for and not found. */
export function imageIntent(generation: number): string {
  return `image/${generation}`;
}

/** Sets ImageResolved. Problems: ImageNotFound, ForeignRegistry. */
export function planImage(input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const { image } = observed;
  switch (image.state) {
    case 'none':
      return settled('AwaitingDeploy', 'no image is deployed yet');
    case 'resolved':
      return settled('Resolved', `image "${image.reference}" is ${image.digest}`);
    case 'foreign':
      return blocked({
        reason: 'ForeignRegistry',
        message: `cannot resolve image "${image.reference}": an image of a registry other than "${input.settings.registryHost}" must be named by its digest (@sha256:…)`,
      });
    case 'missing': {
      const intent = imageIntent(tenant.metadata.generation);
      const firstLook = tenant.status?.requested?.[intent] === undefined;
      if (firstLook || graceLeftMs(input, intent, IMAGE_GRACE_MS) > 0)
        return waiting({
          reason: 'ImageNotVisibleYet',
          message: `the registry does not know image "${image.reference}" yet`,
          retryAfterMs: LOOK_FOR_IMAGE_MS,
        });
      return blocked({
        reason: 'ImageNotFound',
        message: `cannot find image "${image.reference}": the registry does not know it; push it and retry, or deploy another image`,
      });
    }
    default:
      return image satisfies never;
  }
}
