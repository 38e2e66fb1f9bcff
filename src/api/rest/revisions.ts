/**
 * What was deployed before, and how does one go back? A rollback is a deploy of the exact digest of an earlier
 * revision, and becomes a revision of its own.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Revision } from '../../store/revisions.ts';
import { parseImage, pinnedImage } from '../../tenant/image.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { findTenant, identityOf, requireSubscription, type GateDependencies } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { askOutside, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { changeSpec } from './change.ts';
import { deployAnswer, deployView, presentImage, recordPresent } from './deploy.ts';
import { accepted, requireCloud, TENANT } from './tenant-of.ts';
import { deploy, refuseDeleted } from './verbs.ts';

type RevisionDependencies = GateDependencies &
  Pick<ApiDependencies, 'store' | 'revisions' | 'resolveImage' | 'subdomainSuffix' | 'cloudEnabled'>;

const RESOLVE_TIMEOUT_MS = 20_000;

const revisionSchema = z.object({
  revision: z.int(),
  image: z.string(),
  digest: z.string().optional(),
  deployed_by: z.string(),
  deployed_at: z.iso.datetime(),
  /** This is what the spec asks for now. */
  current: z.boolean(),
});

/** Answer of `GET /revisions`, newest first. */
export const revisionsAnswer = z.object({ data: z.array(revisionSchema) });
/** Body of `POST /rollback`: without a number, what ran before the present image. */
export const rollbackSchema = z.strictObject({ revision: z.int().min(1).optional() }).nullish();
/** Answer of `POST /rollback`: that of a deploy, and which revision it went back to. */
export const rollbackAnswer = deployAnswer.extend({ rolled_back_to: z.int(), revision: z.int() });

export function revisionRoutes(scope: FastifyInstance, dependencies: RevisionDependencies): void {
  const { store, revisions, subdomainSuffix } = dependencies;

  scope.get(`${TENANT}/revisions`, async (request) => {
    const tenant = await findTenant(dependencies, request);
    const present = presentImage(tenant);
    const known = await revisions.list(tenant.metadata.uid);
    return { data: known.map((revision) => revisionView(revision, revision.image === present)) };
  });

  scope.post(`${TENANT}/rollback`, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    requireCloud(dependencies);
    const wanted = parse(rollbackSchema, request.body, 'the body')?.revision;
    await requireSubscription(dependencies, request, tenant);
    refuseDeleted(tenant, 'roll back');
    const target = choose(tenant, await revisions.list(tenant.metadata.uid), wanted);
    await refuseVanished(dependencies, reply, target);
    const { image } = target;
    await recordPresent(revisions, tenant);
    const ifMatch = request.headers['if-match'];
    const changed = await changeSpec({ store, tenant, ifMatch }, (now) => deploy(now, image));
    const deployedBy = identityOf(request).subject;
    const revision = await revisions.record(tenant.metadata.uid, { image, deployedBy });
    const data = deployView(changed, subdomainSuffix);
    const answer = { data, status: data.status, url: data.url, rolled_back_to: target.number, revision };
    return accepted(reply, changed).send(answer);
  });
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
