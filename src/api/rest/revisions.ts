/**
 * What was deployed before, and how does one go back? A rollback is a deploy of the exact digest of an earlier
 * revision, and becomes a revision of its own.
 */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Revision } from '../../store/revisions.ts';
import { parseImage, pinnedImage } from '../../tenant/image.ts';
import type { Tenant } from '../../tenant/schema.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { changeSpec } from './change.ts';
import { deployAnswer, deployView, presentImage, recordPresent } from './deploy.ts';
import { waitQuerySchema } from './requests.ts';
import { requireCloud, TAG, TENANT } from './tenant-of.ts';
import { deploy, refuseDeleted } from './verbs.ts';
import { accept } from './wait.ts';

type RevisionDependencies = Pick<
  ApiDependencies,
  'store' | 'clock' | 'revisions' | 'resolveImage' | 'subdomainSuffix' | 'cloudEnabled'
>;

const RESOLVE_TIMEOUT_MS = 20_000;

const revisionSchema = z.object({
  revision: z.int(),
  image: z.string(),
  digest: z.string().optional(),
  deployed_by: z.string(),
  deployed_at: z.iso.datetime(),
  current: z.boolean().describe('This is what the spec asks for now.'),
});

/** Answer of `GET /revisions`, newest first. */
export const revisionsAnswer = z.object({ data: z.array(revisionSchema) });
/** Body of `POST /rollback`: without a number, what ran before the present image. */
export const rollbackSchema = z.strictObject({ revision: z.int().min(1).optional() }).nullish();
/** Answer of `POST /rollback`: that of a deploy, and which revision it went back to. */
export const rollbackAnswer = deployAnswer.extend({ rolled_back_to: z.int(), revision: z.int() });

export function revisionRoutes(routes: Routes, dependencies: RevisionDependencies): void {
  const { revisions } = dependencies;
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/revisions`,
      summary: 'What was deployed, newest first',
      tag: TAG,
      access: 'owner',
      answers: { 200: revisionsAnswer },
    },
    async ({ tenant }) => {
      const present = presentImage(tenant);
      const known = await revisions.list(tenant.metadata.uid);
      return { data: known.map((revision) => revisionView(revision, revision.image === present)) };
    },
  );
  rollbackRoute(routes, dependencies);
}

function rollbackRoute(routes: Routes, dependencies: RevisionDependencies): void {
  const { revisions, subdomainSuffix } = dependencies;
  routes.add(
    {
      method: 'POST',
      path: `${TENANT}/rollback`,
      summary: 'Run the exact image of an earlier revision',
      tag: TAG,
      access: 'owner',
      versioned: true,
      gated: true,
      query: waitQuerySchema,
      body: rollbackSchema,
      answers: { 200: rollbackAnswer, 202: rollbackAnswer },
      errors: [
        'revision_not_found',
        'image_not_found',
        'conflict',
        'invalid_state',
        'invalid',
        'cloud_disabled',
      ],
    },
    async ({ identity, tenant, store, body, query, request, reply }) => {
      requireCloud(dependencies);
      refuseDeleted(tenant, 'roll back');
      const { uid } = tenant.metadata;
      const target = choose(tenant, await revisions.list(uid), body?.revision);
      await refuseVanished(dependencies, reply, target);
      const { image } = target;
      await recordPresent(revisions, tenant);
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => deploy(now, image));
      const revision = await revisions.record(uid, { image, deployedBy: identity.subject });
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      const data = deployView(now, subdomainSuffix);
      return { data, status: data.status, url: data.url, rolled_back_to: target.number, revision };
    },
  );
}

/** Throws ApiError `revision_not_found`. */
function choose(tenant: Tenant, known: readonly Revision[], wanted: number | undefined): Revision {
  const present = presentImage(tenant);
  const target = known.find(({ number, image }) =>
    wanted === undefined ? image !== present : number === wanted,
  );
  if (target !== undefined) return target;
  const cause = wanted === undefined ? 'nothing else was deployed before' : `there is no revision ${wanted}`;
  throw new ApiError('revision_not_found', `cannot roll back tenant "${tenant.metadata.uid}": ${cause}`);
}

/** The registry forgets images that nobody runs: better to say so than to stall the tenant. */
async function refuseVanished(
  { clock, resolveImage }: RevisionDependencies,
  reply: FastifyReply,
  { image, number }: Revision,
): Promise<void> {
  const reference = parseImage(image);
  if (reference?.digest === undefined) return;
  const exact = pinnedImage(reference, reference.digest);
  const problem = `cannot resolve image "${exact}": the registry does not answer`;
  const found = await askOutside({ reply, clock, timeoutMs: RESOLVE_TIMEOUT_MS, problem }, (signal) =>
    resolveImage(exact, signal),
  );
  if (found === undefined)
    throw new ApiError(
      'image_not_found',
      `cannot roll back to revision ${number}: the registry no longer has image "${exact}"; push and deploy it anew`,
    );
}

function revisionView(revision: Revision, current: boolean) {
  const digest = parseImage(revision.image)?.digest;
  return {
    revision: revision.number,
    image: revision.image,
    ...(digest !== undefined && { digest }),
    deployed_by: revision.deployedBy,
    deployed_at: revision.deployedAt.toISOString(),
    current,
  };
}
