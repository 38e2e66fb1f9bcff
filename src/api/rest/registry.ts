/**
 * With what does an owner push its image? A deploy token of the empty registry app, minted for this request and gone
 * in an hour: it can push images there and reach nothing else, and what somebody else pushes under a tenant's tag is
 * not run, since a deploy pins the digest that it found.
 */
import { z } from 'zod';
import { imageTag } from '../../tenant/names.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import type { Routes } from '../routes.ts';
import { requireCloud, TAG, TENANT } from './tenant-of.ts';
import { refuseDeleted } from './verbs.ts';

/** Long enough for a first push over a slow line. */
const TOKEN_LIFETIME_MS = 3_600_000;
const MINT_TIMEOUT_MS = 20_000;
/** Fly's registry takes any name beside a token; this is the one that its own client uses. */
const USERNAME = 'x';

const registryToken = z.object({
  registry: z.string(),
  username: z.string(),
  token: z.string().describe('For `docker login --password-stdin`.'),
  password: z.string().describe('The same, under the name that the first clients read.'),
  repository: z.string(),
  tag: z.string(),
  expires_at: z.iso.datetime(),
});

/** Answer of `GET /registry-token`: in the envelope, and beside it for clients from before it. */
export const registryTokenAnswer = registryToken.extend({ data: registryToken });

export function registryRoute(
  routes: Routes,
  dependencies: Pick<
    ApiDependencies,
    'clock' | 'platform' | 'registryHost' | 'sharedRegistryApp' | 'cloudEnabled'
  >,
): void {
  const { clock, platform, registryHost, sharedRegistryApp } = dependencies;
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/registry-token`,
      summary: 'A credential to push the image with, good for an hour',
      tag: TAG,
      access: 'owner',
      gated: true,
      answers: { 200: registryTokenAnswer },
      errors: ['invalid_state', 'cloud_disabled'],
    },
    async ({ identity, tenant, request, reply }) => {
      requireCloud(dependencies);
      refuseDeleted(tenant, 'push to');
      const { uid } = tenant.metadata;
      const expiresAt = new Date(clock.now() + TOKEN_LIFETIME_MS).toISOString();
      const problem = `cannot make a registry token for tenant "${uid}": Fly does not answer`;
      const token = await askOutside({ reply, clock, timeoutMs: MINT_TIMEOUT_MS, problem }, (signal) =>
        platform.registryToken({ expiryMs: TOKEN_LIFETIME_MS }, signal),
      );
      const place = { repository: sharedRegistryApp, tag: imageTag(uid) };
      request.log.info(
        { tenant: uid, ...place, expiresAt, subject: identity.subject },
        'registry token issued',
      );
      const access = { registry: registryHost, username: USERNAME, token, password: token };
      const data = { ...access, ...place, expires_at: expiresAt };
      return { data, ...data };
    },
  );
}
