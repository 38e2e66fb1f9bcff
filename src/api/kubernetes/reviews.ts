/**
 * Who am I, and what may I do? What `kubectl auth whoami` and `kubectl auth can-i` ask: reviews that are made, answered
 * and forgotten. kubectl sends them in protobuf and nothing else, and takes the answer in JSON.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { identityOf, requireIdentity } from '../access.ts';
import type { Authenticator, Identity } from '../auth.ts';
import { acceptJson, parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { collectRoutes, refuseOtherMethods } from '../routes.ts';
import { JSON_BODY } from './body.ts';
import { readAccessReview } from './protobuf.ts';
import { ACCESS_REVIEWS, CORE, GROUPS, groupVersionName, SELF_REVIEWS } from './resources.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const text = z.string().max(253).default('');
const accessReviewSchema = z.object({
  spec: z.object({
    resourceAttributes: z
      .object({ verb: text, group: text, resource: text, subresource: text, namespace: text, name: text })
      .optional(),
    nonResourceAttributes: z.object({ verb: text, path: text }).optional(),
  }),
});

export type AccessReviewSpec = z.infer<typeof accessReviewSchema>['spec'];

/** Registers the reviews of oneself, for everybody with a valid token. */
export function openReviews(scope: FastifyInstance, { auth }: { readonly auth: Authenticator }): void {
  const routes = collectRoutes(scope);
  scope.addHook('onRequest', requireIdentity(auth));
  acceptJson(scope, JSON_BODY);
  scope.addContentTypeParser<Buffer>(PROTOBUF, { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );

  scope.post(`/apis/${groupVersionName(SELF_REVIEWS)}/selfsubjectreviews`, (request, reply) =>
    reply.code(201).send({
      kind: 'SelfSubjectReview',
      apiVersion: groupVersionName(SELF_REVIEWS),
      metadata: { creationTimestamp: null },
      status: { userInfo: userInfo(identityOf(request)) },
    }),
  );
  scope.post(`/apis/${groupVersionName(ACCESS_REVIEWS)}/selfsubjectaccessreviews`, (request, reply) => {
    const spec = readSpec(request);
    return reply.code(201).send({
      kind: 'SelfSubjectAccessReview',
      apiVersion: groupVersionName(ACCESS_REVIEWS),
      metadata: { creationTimestamp: null },
      spec,
      status: { allowed: isAllowed(identityOf(request), spec) },
    });
  });

  refuseOtherMethods(scope, routes);
}

function readSpec({ body }: FastifyRequest): AccessReviewSpec {
  const review = Buffer.isBuffer(body) ? fromProtobuf(body) : body;
  return parse(accessReviewSchema, review, 'the review').spec;
}

function fromProtobuf(body: Buffer): unknown {
  try {
    return readAccessReview(body);
  } catch (error) {
    throw new ApiError('invalid_request', 'cannot read the review: it is not a message in protobuf', {
      cause: error,
    });
  }
}

function userInfo(identity: Identity): object {
  return {
    username: identity.subject,
    groups: [`landlord:${identity.role}s`, 'system:authenticated'],
    ...(identity.customer !== undefined && { extra: { customer: [identity.customer] } }),
  };
}

/** Operators may do whatever can be done; everybody may look what there is. */
function isAllowed(
  identity: Identity,
  { resourceAttributes, nonResourceAttributes }: AccessReviewSpec,
): boolean {
  if (nonResourceAttributes !== undefined) return nonResourceAttributes.verb.toLowerCase() === 'get';
  if (resourceAttributes === undefined || identity.role !== 'operator') return false;
  const { verb, group, resource, subresource } = resourceAttributes;
  return [CORE, ...GROUPS]
    .filter((known) => group === '*' || known.group === group)
    .flatMap(({ resources }) => resources)
    .filter(({ name }) => resource === '*' || name === resource)
    .map(({ verbs, subresources = [] }) =>
      subresource === '' ? verbs : (subresources.find(({ name }) => name === subresource)?.verbs ?? []),
    )
    .some((verbs) => verb === '*' || verbs.includes(verb));
}
