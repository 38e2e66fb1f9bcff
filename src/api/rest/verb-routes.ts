/** Which verbs carry nothing but their name? One table: what each changes of the spec, and what it answers. */
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Routes } from '../routes.ts';
import * as answers from './answers.ts';
import { changeSpec } from './change.ts';
import { verbSchema, waitQuerySchema } from './requests.ts';
import { TAG, TENANT } from './tenant-of.ts';
import { activate, restart, retryProvision, suspend } from './verbs.ts';
import { tenantView } from './view.ts';
import { accept } from './wait.ts';

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly change: (tenant: Tenant, nowMs: number) => TenantSpec;
  /** True when only what is paid for may have it. */
  readonly gated?: boolean;
  /** The whole answer of a verb that does not answer the tenant: the CLI decodes restart and retry so. */
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

/** Declares a POST for each verb. */
export function verbRoutes(
  routes: Routes,
  dependencies: Pick<ApiDependencies, 'store' | 'clock' | 'subdomainSuffix'>,
): void {
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
        errors: ['conflict', 'invalid_state', 'not_provisioned'],
      },
      async ({ tenant, store, query, request, reply }) => {
        const ifMatch = request.headers['if-match'];
        const changed = await changeSpec({ store, tenant, ifMatch }, (now) => change(now, clock.now()));
        const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
        return bare ? { status: bare } : { data: tenantView(now, subdomainSuffix) };
      },
    );
}
