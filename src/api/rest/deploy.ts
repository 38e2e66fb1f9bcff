/**
 * How does a pushed image become what a tenant runs? The tag is checked, resolved to the digest that it means now,
 * and both are written into the spec; a tag that somebody moves later changes nothing.
 */
import type { FastifyReply } from 'fastify';
import { tenantImage } from '../../tenant/image.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { changeSpec } from './change.ts';
import { deploy, restart } from './verbs.ts';
import { addressOf, isObserved } from './view.ts';

/** The CLI gives up on the whole request after 30 seconds. */
const RESOLVE_TIMEOUT_MS = 20_000;
/** Means what is deployed already: a restart by the name that the old runbooks use. */
const CURRENT = 'current';

export type DeployDependencies = Pick<
  ApiDependencies,
  'store' | 'clock' | 'registryHost' | 'sharedRegistryApp' | 'resolveImage'
>;

/** Deploys, and answers the tenant as it then stands. */
export async function deployImage(
  dependencies: DeployDependencies,
  request: {
    readonly tenant: Tenant;
    readonly image: string;
    readonly ifMatch: string | undefined;
    readonly reply: FastifyReply;
  },
): Promise<Tenant> {
  const { store, clock } = dependencies;
  const { tenant, image, ifMatch } = request;
  if (image === CURRENT) return changeSpec({ store, tenant, ifMatch }, (now) => restart(now, clock.now()));
  const expected = tenantImage(
    dependencies.registryHost,
    dependencies.sharedRegistryApp,
    tenant.metadata.uid,
  );
  if (image !== expected) throw new ApiError('invalid_image', `Invalid image. Expected: ${expected}`);
  const digest = await askOutside(
    {
      reply: request.reply,
      clock,
      timeoutMs: RESOLVE_TIMEOUT_MS,
      problem: `cannot resolve image "${expected}": the registry does not answer`,
    },
    (signal) => dependencies.resolveImage(expected, signal),
  );
  if (digest === undefined)
    throw new ApiError('image_not_found', `cannot deploy image "${expected}": it was never pushed`);
  return changeSpec({ store, tenant, ifMatch }, (now) => deploy(now, `${expected}@${digest}`));
}

/** `data` of a deploy: `deployed` only when the loop has seen this very spec and it runs. */
export function deployView(tenant: Tenant, subdomainSuffix: string) {
  const { spec, status } = tenant;
  const { url } = addressOf(tenant, subdomainSuffix);
  const running = isObserved(tenant) && status?.phase === 'running';
  return {
    status: spec.state === 'Suspended' ? 'suspended' : running ? 'deployed' : 'deploying',
    app_url: url,
    url,
    image: spec.image,
    machine_id: status?.machine?.id,
    generation: tenant.metadata.generation,
  };
}
