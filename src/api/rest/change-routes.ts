/**
 * By which routes does an owner change a tenant? Each writes what shall be and answers at once, or, asked to wait,
 * when it has come to be.
 */
import type { FastifyReply } from 'fastify';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import { requireSubscription, requireWithinPlan, type GateDependencies } from '../access.ts';
import { answerSignal } from '../edge.ts';
import type { Routes } from '../routes.ts';
import * as answers from './answers.ts';
import { changeSpec, deleteTenant, entityTag } from './change.ts';
import { deployImage, deployView, type DeployDependencies } from './deploy.ts';
import { TAG, TENANT } from './paths.ts';
import { applyPatch, deploySchema, patchSchema, verbSchema, waitQuerySchema } from './requests.ts';
import { activate, restart, retryProvision, suspend } from './verbs.ts';
import { tenantView } from './view.ts';
import { waitForReady } from './wait.ts';

export type ChangeDependencies = DeployDependencies & GateDependencies & { readonly subdomainSuffix: string };

/** Declares every route that changes what a tenant shall be. */
export function changeRoutes(routes: Routes, dependencies: ChangeDependencies): void {
  tenantRoutes(routes, dependencies);
  verbRoutes(routes, dependencies);
  deployRoute(routes, dependencies);
}

function tenantRoutes(routes: Routes, dependencies: ChangeDependencies): void {
  const { subdomainSuffix } = dependencies;
  routes.add(
    {
      method: 'PATCH',
      path: TENANT,
      summary: 'Scale, suspend, activate, or set environment and hostnames',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: patchSchema,
      answers: { 200: answers.tenantAnswer, 202: answers.tenantAnswer },
      errors: ['conflict', 'invalid_state', 'invalid', 'subscription_inactive', 'plan_limit'],
    },
    async ({ tenant, store, body, query, request, reply }) => {
      if (body.status === 'active') await requireSubscription(dependencies, request, tenant);
      if (body.memory_mb !== undefined)
        await requireWithinPlan(dependencies, request, { tenant, memoryMb: body.memory_mb });
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => applyPatch(now, body));
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      return { data: tenantView(now, subdomainSuffix) };
    },
  );
  routes.add(
    {
      method: 'DELETE',
      path: TENANT,
      summary: 'Delete the tenant and all that it has on Fly',
      tag: TAG,
      access: 'owner',
      versioned: true,
      answers: { 204: { description: 'It is being deleted.' } },
      errors: ['conflict'],
    },
    async ({ tenant, store, request, reply }) => {
      await deleteTenant({ store, tenant, ifMatch: request.headers['if-match'] });
      return reply.code(204).send();
    },
  );
}

/** The verbs that carry nothing but their name. Restart and retry answer bare, because the CLI decodes them so. */
function verbRoutes(routes: Routes, dependencies: ChangeDependencies): void {
  const { clock, subdomainSuffix } = dependencies;
  for (const { name, summary, change, bare, gated = false } of VERBS)
    routes.add(
      {
        method: 'POST',
        path: `${TENANT}/${name}`,
        summary,
        tag: TAG,
        access: 'owner',
        versioned: true,
        gated,
        query: waitQuerySchema,
        body: verbSchema,
        answers: bare
          ? { 200: answers.verbAnswer, 202: answers.verbAnswer }
          : { 200: answers.tenantAnswer, 202: answers.tenantAnswer },
        errors: ['conflict', 'invalid_state'],
      },
      async ({ tenant, store, query, request, reply }) => {
        const ifMatch = request.headers['if-match'];
        const changed = await changeSpec({ store, tenant, ifMatch }, (now) => change(now, clock.now()));
        const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
        return bare ? { status: bare } : { data: tenantView(now, subdomainSuffix) };
      },
    );
}

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly change: (tenant: Tenant, nowMs: number) => TenantSpec;
  /** True when only what is paid for may have it. */
  readonly gated?: boolean;
  /** The whole answer of a verb that does not answer the tenant. */
  readonly bare?: string;
}

const VERBS: readonly Verb[] = [
  { name: 'suspend', summary: 'Stop the machine and keep the data', change: suspend },
  { name: 'activate', summary: 'Let the machine run again', change: activate, gated: true },
  { name: 'restart', summary: 'Restart the machine once', change: restart, bare: 'restarting' },
  {
    name: 'retry-provision',
    summary: 'Try again after a failure, now',
    change: retryProvision,
    bare: 'provisioning',
  },
];

function deployRoute(routes: Routes, dependencies: ChangeDependencies): void {
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
      answers: { 200: answers.deployAnswer, 202: answers.deployAnswer },
      errors: ['invalid_image', 'image_not_found', 'conflict', 'invalid_state', 'invalid'],
    },
    async ({ tenant, store, body: { image }, query, request, reply }) => {
      const ifMatch = request.headers['if-match'];
      const changed = await deployImage({ ...dependencies, store }, { tenant, image, ifMatch, reply });
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      const data = deployView(now, dependencies.subdomainSuffix);
      // The CLI reads `data`; scripts from before the envelope read the top level.
      return { data, status: data.status, url: data.url };
    },
  );
}

/** Every change is accepted, not done: the loop does it. A client that waits is told whether it came to that. */
async function accept(
  { store, clock }: Pick<ChangeDependencies, 'store' | 'clock'>,
  options: { readonly reply: FastifyReply; readonly changed: Tenant; readonly waitMs: number | undefined },
): Promise<Tenant> {
  const { reply, changed, waitMs: limitMs } = options;
  const { tenant, done } =
    limitMs === undefined
      ? { tenant: changed, done: false }
      : await waitForReady({ store, clock, changed, limitMs, signal: answerSignal(reply) });
  reply.code(done ? 200 : 202).header('etag', entityTag(tenant));
  return tenant;
}
