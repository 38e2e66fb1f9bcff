/**
 * Which bodies does the declarative door read? JSON and the two kinds of patch. What else a client may send is
 * refused before it is read, with a word on what to send instead.
 */
import type { FastifyInstance, FastifyRequest, HookHandlerDoneFunction } from 'fastify';
import { acceptJson } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { JSON_PATCH, MERGE_PATCH } from './patches.ts';

export const JSON_BODY = ['application/json'] as const;
export const PATCH_BODY = [JSON_PATCH, MERGE_PATCH] as const;

const APPLY_PATCH = 'application/apply-patch+yaml';
/** A Tenant has six; what is much deeper was made to break whoever reads it. */
const DEEPEST_BODY = 64;

/** Reads bodies of every kind that some route here takes. */
export function acceptBodies(scope: FastifyInstance): void {
  acceptJson(scope, [...JSON_BODY, ...PATCH_BODY], (request, body, text) => {
    if (isDeeperThan(body, DEEPEST_BODY))
      throw new ApiError(
        'invalid_request',
        `cannot read the body: it is nested deeper than ${DEEPEST_BODY} levels`,
      );
    request.bodyText = text;
  });
}

/** A hook that refuses a body of another type before it is read. No type at all is left to the parsers. */
export function onlyTypes(types: readonly string[]) {
  return (request: FastifyRequest, _reply: unknown, done: HookHandlerDoneFunction): void => {
    const sent = request.mediaType;
    if (sent === undefined || types.includes(sent)) done();
    else if (sent === APPLY_PATCH && types.includes(MERGE_PATCH))
      done(
        new ApiError(
          'unsupported_media_type',
          'server-side apply is not supported here: use kubectl apply without --server-side',
        ),
      );
    else
      done(
        new ApiError(
          'unsupported_media_type',
          `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
        ),
      );
  };
}

/** Looks no deeper than the bound itself. */
function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((below) => isDeeperThan(below, levels - 1));
}
