/**
 * Under which names of its own does a tenant answer, and what must DNS say for it? The CLI knows one custom domain: it
 * is the first of `spec.hostnames`, which `PATCH /tenants/{id}` sets as a whole. Certificates are the loop's to ask
 * for; their state is read from Fly.
 */
import type { FastifyReply } from 'fastify';
import { getDomain } from 'tldts';
import { z } from 'zod';
import type { Tenant, TenantSpec } from '../../tenant/schema.ts';
import type { ApiDependencies, CertificateState } from '../dependencies.ts';
import { askOutside } from '../edge.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { changeSpec } from './change.ts';
import { waitQuerySchema } from './requests.ts';
import { appOf, requireCloud, TAG, TENANT } from './tenant-of.ts';
import { refuseDeleted } from './verbs.ts';
import { addressOf } from './view.ts';
import { accept } from './wait.ts';

type DomainDependencies = Pick<
  ApiDependencies,
  'store' | 'clock' | 'platform' | 'subdomainSuffix' | 'cloudEnabled'
>;

const TIMEOUT_MS = 20_000;
/** Short, so that a mistake is soon mended. */
const TTL_SECONDS = 300;

/** Body of `POST /custom-domain`. */
export const customDomainSchema = z.strictObject({
  domain: z
    .string()
    .max(253)
    .transform((text) => text.trim().toLowerCase().replace(/\.$/, ''))
    .refine((text) => getDomain(text) !== null, 'must be a domain such as www.example.com'),
});

const dnsRecord = z.object({
  record_type: z.string(),
  host: z.string(),
  value: z.string(),
  ttl: z.int().min(0),
});

const domainSchema = z.object({
  domain: z.string(),
  status: z.enum(['pending', 'pending_validation', 'active']),
  verified: z.boolean(),
  dns_target: z.string(),
  /** The one record that is enough. */
  dns_instructions: dnsRecord,
  /** All that can be set, the one from above among them. */
  dns_records: z.array(dnsRecord),
  /** Why the certificate is not issued, in Fly's words. */
  problems: z.array(z.string()),
  created_at: z.string().optional(),
  verified_at: z.string().optional(),
});

/** Answer of `GET` and `POST /custom-domain`. */
export const customDomainAnswer = z.object({ data: domainSchema });
/** Answer of `GET /domains`: the built-in hostname first, then every custom one. */
export const domainsAnswer = z.object({ data: z.array(domainSchema) });

const CUSTOM = `${TENANT}/custom-domain`;

export function domainRoutes(routes: Routes, dependencies: DomainDependencies): void {
  readRoutes(routes, dependencies);
  setRoute(routes, dependencies);
  routes.add(
    {
      method: 'DELETE',
      path: CUSTOM,
      summary: 'Take the custom domain away',
      tag: TAG,
      access: 'owner',
      versioned: true,
      answers: { 204: { description: 'It is taken away.' } },
      errors: ['domain_not_found', 'conflict', 'invalid_state'],
    },
    async ({ tenant, store, request, reply }) => {
      const name = customDomainOf(tenant);
      const ifMatch = request.headers['if-match'];
      await changeSpec({ store, tenant, ifMatch }, (now) => without(now, name));
      return reply.code(204).send();
    },
  );
}

function readRoutes(routes: Routes, dependencies: DomainDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/domains`,
      summary: 'Every name of the tenant, with its certificate and what DNS must say',
      tag: TAG,
      access: 'owner',
      answers: { 200: domainsAnswer },
      errors: ['cloud_disabled'],
    },
    async ({ tenant, reply }) => {
      const { host } = addressOf(tenant, dependencies.subdomainSuffix);
      const names = [host, ...tenant.spec.hostnames];
      const states = await readStates(dependencies, { reply, tenant, names });
      return { data: names.map((name, index) => domainView(tenant, name, states[index])) };
    },
  );
  routes.add(
    {
      method: 'GET',
      path: CUSTOM,
      summary: 'The custom domain, with its certificate and what DNS must say',
      tag: TAG,
      access: 'owner',
      answers: { 200: customDomainAnswer },
      errors: ['domain_not_found', 'cloud_disabled'],
    },
    async ({ tenant, reply }) => {
      const name = customDomainOf(tenant);
      const [state] = await readStates(dependencies, { reply, tenant, names: [name] });
      return { data: domainView(tenant, name, state) };
    },
  );
}

function setRoute(routes: Routes, dependencies: DomainDependencies): void {
  routes.add(
    {
      method: 'POST',
      path: CUSTOM,
      summary: 'Set the custom domain, in place of an earlier one',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: customDomainSchema,
      answers: { 200: customDomainAnswer, 202: customDomainAnswer },
      errors: ['conflict', 'invalid', 'invalid_state'],
    },
    async ({ tenant, store, body: { domain }, query, request, reply }) => {
      refuseBuiltIn([domain], dependencies.subdomainSuffix);
      const ifMatch = request.headers['if-match'];
      const changed = await changeSpec({ store, tenant, ifMatch }, (now) => withCustomDomain(now, domain));
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      // The loop has only just been told: nothing is known yet that Fly could be asked for.
      return { data: domainView(now, domain, undefined) };
    },
  );
}

/** Throws ApiError `invalid` for a name below the suffix of built-in hostnames: those belong to tenants by their id. */
export function refuseBuiltIn(names: readonly string[], subdomainSuffix: string): void {
  for (const name of names)
    if (name === subdomainSuffix || name.endsWith(`.${subdomainSuffix}`))
      throw new ApiError(
        'invalid',
        `cannot use domain "${name}": names below ${subdomainSuffix} are given out by Landlord`,
      );
}

/** The first custom hostname is replaced, others are left as they are. */
function withCustomDomain(tenant: Tenant, domain: string): TenantSpec {
  refuseDeleted(tenant, 'set the domain of');
  const [, ...others] = tenant.spec.hostnames;
  return { ...tenant.spec, hostnames: [domain, ...others.filter((name) => name !== domain)] };
}

function without(tenant: Tenant, domain: string): TenantSpec {
  refuseDeleted(tenant, 'remove the domain of');
  return { ...tenant.spec, hostnames: tenant.spec.hostnames.filter((name) => name !== domain) };
}

function customDomainOf({ metadata, spec }: Tenant): string {
  const [name] = spec.hostnames;
  if (name !== undefined) return name;
  throw new ApiError(
    'domain_not_found',
    `cannot find the custom domain of tenant "${metadata.uid}": it has none`,
  );
}

async function readStates(
  dependencies: DomainDependencies,
  { reply, tenant, names }: { reply: FastifyReply; tenant: Tenant; names: readonly string[] },
): Promise<readonly (CertificateState | undefined)[]> {
  requireCloud(dependencies);
  const { clock, platform } = dependencies;
  const app = tenant.status?.app?.name;
  if (app === undefined) return [];
  const problem = `cannot read the domains of tenant "${tenant.metadata.uid}": Fly does not answer`;
  return askOutside({ reply, clock, timeoutMs: TIMEOUT_MS, problem }, (signal) =>
    Promise.all(names.map((name) => platform.certificate(app, name, signal))),
  );
}

function domainView(
  tenant: Tenant,
  name: string,
  state: CertificateState | undefined,
): z.infer<typeof domainSchema> {
  const target = state?.dns.cname ?? `${appOf(tenant)}.fly.dev`;
  const records = recordsOf(name, { target, tenant, state });
  // Nothing but address records may stand at the top of a zone, and IPv6 is what Fly validates by.
  const isTop = getDomain(name) === name;
  const enough = records.find(({ record_type: type }) => type === (isTop ? 'AAAA' : 'CNAME'));
  return {
    domain: name,
    status: state === undefined ? 'pending' : state.issued ? 'active' : 'pending_validation',
    verified: state?.issued === true,
    dns_target: target,
    dns_instructions: enough ?? { record_type: 'CNAME', host: name, value: target, ttl: TTL_SECONDS },
    dns_records: records,
    problems: [...(state?.problems ?? [])],
    ...(state?.createdAt !== undefined && { created_at: state.createdAt }),
    ...(state?.issuedAt !== undefined && { verified_at: state.issuedAt }),
  };
}

function recordsOf(
  host: string,
  options: { readonly target: string; readonly tenant: Tenant; readonly state: CertificateState | undefined },
): z.infer<typeof dnsRecord>[] {
  const { target, tenant, state } = options;
  const addresses = tenant.status?.addresses ?? [];
  const record = (type: string, value: string, name = host) => ({
    record_type: type,
    host: name,
    value,
    ttl: TTL_SECONDS,
  });
  const challenge = state?.dns.challenge;
  return [
    ...(getDomain(host) === host ? [] : [record('CNAME', target)]),
    ...(state?.dns.a ?? addresses.filter((ip) => !ip.includes(':'))).map((ip) => record('A', ip)),
    ...(state?.dns.aaaa ?? addresses.filter((ip) => ip.includes(':'))).map((ip) => record('AAAA', ip)),
    ...(challenge === undefined ? [] : [record('CNAME', challenge.target, challenge.name)]),
  ];
}
