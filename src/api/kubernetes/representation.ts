/**
 * In which shape does the client want its answer? As the object itself, or as a table for people: content
 * negotiation as the API server does it, by parameters of the media type (`application/json;as=Table;v=v1;…`).
 */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { toTable, type Column, type IncludeObject, type ListMetadata } from './table.ts';

export type Representation =
  { readonly as: 'object' } | { readonly as: 'table'; readonly includeObject: IncludeObject };

const PLAIN: Representation = { as: 'object' };
/** kubectl sends three; nobody needs more to be understood. */
const MOST_CLAUSES = 16;

const querySchema = z.object({
  includeObject: z.enum(['', 'None', 'Metadata', 'Object']).optional(),
});

/** Reads `Accept`: the first type in it that is spoken here counts. Throws ApiError `not_acceptable`. */
export function negotiate(request: FastifyRequest): Representation {
  const { includeObject } = parse(querySchema, request.query, 'the query');
  const accept = request.headers.accept ?? '*/*';
  for (const clause of accept.split(',').slice(0, MOST_CLAUSES)) {
    const [type = '', ...parameters] = clause.split(';').map((part) => part.trim().toLowerCase());
    if (!['application/json', 'application/*', '*/*'].includes(type)) continue;
    const shape = parameters.find((parameter) => parameter.startsWith('as='));
    if (shape === undefined) return PLAIN;
    if (shape === 'as=table' && parameters.includes('v=v1') && parameters.includes('g=meta.k8s.io'))
      return {
        as: 'table',
        includeObject: includeObject === undefined || includeObject === '' ? 'Metadata' : includeObject,
      };
  }
  throw new ApiError(
    'not_acceptable',
    'only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io',
  );
}

/** One object as the client wants it. */
export function showOne<T extends { readonly metadata: { readonly resourceVersion?: string } }>(
  object: T,
  columns: readonly Column<T>[],
  { representation, now }: { readonly representation: Representation; readonly now: number },
): unknown {
  if (representation.as === 'object') return object;
  const { resourceVersion = '' } = object.metadata;
  const { includeObject } = representation;
  return toTable(columns, { items: [object], metadata: { resourceVersion } }, { includeObject, now });
}

/** A list as the client wants it. */
export function showList<T extends { readonly metadata: object }>(
  list: { readonly items: readonly T[]; readonly metadata: ListMetadata },
  columns: readonly Column<T>[],
  { representation, now }: { readonly representation: Representation; readonly now: number },
): unknown {
  if (representation.as === 'object') return list;
  const { includeObject } = representation;
  return toTable(columns, list, { includeObject, now });
}
