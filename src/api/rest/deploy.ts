/**
 * How does a pushed image become what a tenant runs? The tag is checked, resolved to the digest that it means now,
 * and both are written into the spec; a tag that somebody moves later changes nothing.
 */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { parseImage, tenantImage } from '../../tenant/image.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { changeSpec } from './change.ts';
import { deploySchema, waitQuerySchema } from './requests.ts';
import { requireCloud, TAG, TENANT } from './tenant-of.ts';
import { deploy, restart } from './verbs.ts';
import { addressOf, isObserved } from './view.ts';
import { accept } from './wait.ts';

/** The CLI gives up on the whole request after 30 seconds. */
const RESOLVE_TIMEOUT_MS = 20_000;
/** Means what is deployed already: a restart by the name that the old runbooks use. */
const CURRENT = 'current';

export type DeployDependencies = Pick<
  ApiDependencies,
  'store' | 'clock' | 'registryHost' | 'sharedRegistryApp' | 'resolveImage' | 'revisions' | 'cloudEnabled'
>;

const deployState = z
  .object({
    status: z.enum(['deployed', 'deploying', 'suspended']),
    app_url: z.string(),
    url: z.string(),
    image: z.string().optional(),
    machine_id: z.string().optional(),
    generation: z.int(),
  })
  .meta({ id: 'Deploy' });

/** Answer of `POST /deploy`: the CLI reads `data`; scripts from before the envelope read the top level. */
export const deployAnswer = z.object({
  data: deployState,
  status: deployState.shape.status,
  url: z.string(),
});

export function deployRoute(
  routes: Routes,
  dependencies: DeployDependencies & Pick<ApiDependencies, 'subdomainSuffix'>,
): void {
  routes.add(
    {
      method: 'POST',
      path: `${TENANT}/deploy`,
      summary: 'Run the image that was pushed, by the digest that its tag has now',
      tag: TAG,
      access: 'owner',
      versioned: true,
      gated: true,
      query: waitQuerySchema,
      body: deploySchema,
      answers: { 200: deployAnswer, 202: deployAnswer },
      errors: [
        'invalid_image',
        'image_not_found',
        'conflict',
        'invalid_state',
        'not_provisioned',
        'invalid',
        'cloud_disabled',
      ],
    },
    async ({ identity, tenant, store, body: { image }, query, request, reply }) => {
      const ifMatch = request.headers['if-match'];
      const deployedBy = identity.subject;
      const changed = await deployImage(
        { ...dependencies, store },
        { tenant, image, ifMatch, deployedBy, reply },
      );
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      const data = deployView(now, dependencies.subdomainSuffix);
      return { data, status: data.status, url: data.url };
    },
  );
}

/** Deploys, and answers the tenant as it then stands. */
async function deployImage(
  dependencies: DeployDependencies,
  request: {
    readonly tenant: Tenant;
    readonly image: string;
    readonly ifMatch: string | undefined;
    /** Subject of who asks. */
    readonly deployedBy: string;
    readonly reply: FastifyReply;
  },
): Promise<Tenant> {
  requireCloud(dependencies);
  const { store, clock, revisions } = dependencies;
  const { tenant, image, ifMatch, deployedBy } = request;
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
  const pinned = `${expected}@${digest}`;
  await recordPresent(revisions, tenant);
  const changed = await changeSpec({ store, tenant, ifMatch }, (now) => deploy(now, pinned));
  await revisions.record(tenant.metadata.uid, { image: pinned, deployedBy });
  return changed;
}

/**
 * Before something else is deployed, makes sure that one can come back to what is there: it may have come through
 * another door, or its deploy may have crashed before it was recorded.
 */
export async function recordPresent(
  revisions: DeployDependencies['revisions'],
  tenant: Tenant,
): Promise<void> {
  const image = presentImage(tenant);
  if (image !== undefined) await revisions.record(tenant.metadata.uid, { image, deployedBy: 'unknown' });
}

/** What the spec asks for, with its digest; undefined while a bare tag was not resolved. */
export function presentImage({ spec, status }: Tenant): string | undefined {
  if (spec.image === undefined || parseImage(spec.image)?.digest !== undefined) return spec.image;
  const pinned = status?.image;
  return pinned?.reference === spec.image ? `${spec.image}@${pinned.digest}` : undefined;
}

/** `data` of a deploy: `deployed` only when the loop has seen this very spec and it runs. */
export function deployView(tenant: Tenant, subdomainSuffix: string): z.infer<typeof deployState> {
  const { spec, status } = tenant;
  const { url } = addressOf(tenant, subdomainSuffix);
  const running = isObserved(tenant) && status?.phase === 'running';
  return {
    status: spec.state === 'Suspended' ? 'suspended' : running ? 'deployed' : 'deploying',
    app_url: url,
    url,
    ...(spec.image !== undefined && { image: spec.image }),
    ...(status?.machine !== undefined && { machine_id: status.machine.id }),
    generation: tenant.metadata.generation,
  };
}
