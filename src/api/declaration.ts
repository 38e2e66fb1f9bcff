/**
 * What is a route, before it does anything? One declaration each: where it is, who may call it, what it takes and
 * what it answers. Registration, the OpenAPI document, the reference page and the tests of every route are all made
 * from it, so that none of them can say something else than the others.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { TenantStore } from '../store/store.ts';
import type { Tenant } from '../tenant/schema.ts';
import type { Identity } from './auth.ts';
import type { ErrorCode } from './errors.ts';

/**
 * Who may call: anybody; whoever has a valid token; the owner of the tenant that `:id` names (and operators, while to
 * everybody else that tenant does not exist); the owner, or whoever brings the token of the tenant's credentials link
 * instead of one of their own; operators alone.
 */
export type Access = 'public' | 'caller' | 'owner' | 'owner-or-link' | 'operator';

/** What every route about one tenant finds before it runs. */
export type TenantAccess = 'owner' | 'owner-or-link';

export function isAboutTenant(access: Access): access is TenantAccess {
  return access === 'owner' || access === 'owner-or-link';
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** An answer without a JSON schema: nothing at all, or a page or file of another type. */
export interface Untyped {
  /** Absent: no body. */
  readonly contentType?: string;
  readonly description: string;
}

export interface Declaration<
  A extends Access = Access,
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
> {
  readonly method: Method;
  /** In fastify's form: `/api/v1/tenants/:id/status`. */
  readonly path: string;
  /** One line for the reference, without a full stop. */
  readonly summary: string;
  /** Heading of the reference under which it stands. */
  readonly tag: string;
  readonly access: A;
  /** Names in the path. An owner's `:id` is understood and needs no schema. */
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** What a body is that is neither JSON nor parsed here: a form, or what was signed. */
  readonly otherBody?: { readonly contentType: string; readonly schema: z.ZodType };
  /** Success by status. Answers are checked against these in tests, not in production. */
  readonly answers: Readonly<Record<number, z.ZodType | Untyped>>;
  /** True when the answer is a stream of server-sent events, or can be one beside what `answers` says. */
  readonly streams?: boolean;
  /** What can go wrong beside what follows from the rest of the declaration. */
  readonly errors?: readonly ErrorCode[];
  /** True for an operator's method that does not exist for customers: 405 instead of 403. */
  readonly hidden?: boolean;
  /** True when the tenant's subscription must be good: 402 otherwise. */
  readonly gated?: boolean;
  /** True where limits would do harm: a provider's notifications come in bursts, and are signed. */
  readonly unlimited?: boolean;
  /** True when the answer has an ETag and a change obeys If-Match. */
  readonly versioned?: boolean;
}

/** One request to a declared route, checked. */
export interface Call<A extends Access, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly identity: A extends 'public'
    ? undefined
    : A extends 'owner-or-link'
      ? Identity | undefined
      : Identity;
  /** The tenant of the path, which the caller may see. */
  readonly tenant: A extends TenantAccess ? Tenant : undefined;
  /** Where a link's token is taken, and one was brought: whether it opens this tenant, the route finds out. */
  readonly linkToken: A extends 'owner-or-link' ? string | undefined : undefined;
  /** Through which the call reads and writes tenants: it knows what the call has changed, for the audit log. */
  readonly store: TenantStore;
  readonly params: z.output<P>;
  readonly query: z.output<Q>;
  readonly body: z.output<B>;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}
