/**
 * With what does an owner push its image? A deploy token of the empty registry app, minted for this request and gone
 * in an hour: it can push images there and reach nothing else, and what somebody else pushes under a tenant's tag is
 * not run, since a deploy pins the digest that it found.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { imageTag } from '../../tenant/names.ts';
import { findTenant, requireSubscription, type GateDependencies } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import { requireCloud, TENANT } from './tenant-of.ts';
import { refuseDeleted } from './verbs.ts';

/** Long enough for a first push over a slow line. */
const TOKEN_LIFETIME_MS = 3_600_000;
const MINT_TIMEOUT_MS = 20_000;
/** Fly's registry takes any name beside a token; this is the one that its own client uses. */
const USERNAME = 'x';

const registryToken = z.object({
  registry: z.string(),
  username: z.string(),
  /** For `docker login --password-stdin`. */
  token: z.string(),
  /** The same, under the name that the first clients read. */
  password: z.string(),
  repository: z.string(),
  tag: z.string(),
  expires_at: z.iso.datetime(),
});

/** Answer of `GET /registry-token`: in the envelope, and beside it for clients from before it. */
export const registryTokenAnswer = registryToken.extend({ data: registryToken });

export function registryRoute(
  scope: FastifyInstance,
  dependencies: GateDependencies &
    Pick<ApiDependencies, 'store' | 'platform' | 'registryHost' | 'sharedRegistryApp' | 'cloudEnabled'>,
): void {
  const { clock, platform, registryHost, sharedRegistryApp } = dependencies;
  scope.get(`${TENANT}/registry-token`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    requireCloud(dependencies);
    await requireSubscription(dependencies, request, tenant);
    refuseDeleted(tenant, 'push to');
    const expiresAt = new Date(clock.now() + TOKEN_LIFETIME_MS).toISOString();
    const problem = `cannot make a registry token for tenant "${tenant.metadata.uid}": Fly does not answer`;
    const token = await askOutside({ reply, clock, timeoutMs: MINT_TIMEOUT_MS, problem }, (signal) =>
      platform.registryToken({ expiryMs: TOKEN_LIFETIME_MS }, signal),
    );
    const place = { repository: sharedRegistryApp, tag: imageTag(tenant.metadata.uid) };
    request.log.info(
      { tenant: tenant.metadata.uid, ...place, expiresAt, subject: request.identity?.subject },
      'registry token issued',
    );
    const data = {
      registry: registryHost,
      username: USERNAME,
      token,
      password: token,
      ...place,
      expires_at: expiresAt,
    };
    return { data, ...data };
  });
}
