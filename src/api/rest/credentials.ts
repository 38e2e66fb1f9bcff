/**
 * How does an owner come by the credentials of its tenant, and by new ones? Once, through a link that `/status` shows
 * until it is used; and by a rotation, which answers with the new ones. The rotation is a wish in the spec, so that
 * it survives any crash: the loop sets the password on the server and on Fly, and restarts the machine.
 */
import { z } from 'zod';
import type { Tenant } from '../../tenant/schema.ts';
import { LINK_TOKEN_PATTERN } from '../../vault/links.ts';
import type { RevealedSecrets } from '../../vault/vault.ts';
import { linkRefused } from '../access.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { changeSpec } from './change.ts';
import { verbSchema, waitQuerySchema } from './requests.ts';
import { notProvisioned, TAG, TENANT, TENANTS } from './tenant-of.ts';
import { rotateCredentials } from './verbs.ts';
import { addressOf } from './view.ts';
import { accept } from './wait.ts';

export type CredentialsDependencies = Pick<
  ApiDependencies,
  'store' | 'events' | 'vault' | 'databaseUrls' | 'clock' | 'subdomainSuffix'
>;

/** Answer of the credentials link: bare, because the CLI decodes it so. The keys of providers are there if set. */
export const credentialsAnswer = z.object({
  jwt_secret: z.string(),
  database_url: z.string(),
  internal_database_url: z.string(),
  external_database_url: z.string(),
  app_url: z.string(),
  anthropic_api_key: z.string().optional(),
  openai_api_key: z.string().optional(),
  gemini_api_key: z.string().optional(),
});

/** Answer of a rotation: bare. */
export const rotatedAnswer = z.object({
  status: z.literal('rotated'),
  message: z.string(),
  database_url: z.string(),
  internal_database_url: z.string(),
  external_database_url: z.string(),
  secrets_url: z.string().optional(),
});

/** Declares the credentials link and the rotation. */
export function credentialRoutes(routes: Routes, dependencies: CredentialsDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: `${TENANT}/credentials/:token`,
      summary: 'The credentials of the tenant, once',
      tag: TAG,
      access: 'owner',
      params: z.object({ token: z.string() }),
      answers: { 200: credentialsAnswer },
      errors: ['link_not_found'],
    },
    async ({ tenant, params: { token } }) => {
      const credentials = await redeem(dependencies, tenant, token);
      if (credentials !== undefined) return credentials;
      throw new ApiError(
        'link_not_found',
        'cannot show the credentials: this link was used or replaced; rotate them to get a new one',
      );
    },
  );
  // PATCH as well, because older documents say so.
  for (const method of ['POST', 'PATCH'] as const) rotateRoute(routes, dependencies, method);
}

function rotateRoute(routes: Routes, dependencies: CredentialsDependencies, method: 'POST' | 'PATCH'): void {
  routes.add(
    {
      method,
      path: `${TENANT}/rotate-credentials`,
      summary: 'Give the database a new password and restart the machine with it',
      tag: TAG,
      access: 'owner',
      versioned: true,
      query: waitQuerySchema,
      body: verbSchema,
      answers: { 200: rotatedAnswer, 202: rotatedAnswer },
      errors: ['not_provisioned', 'conflict', 'invalid_state'],
    },
    async ({ tenant, store, query, request, reply }) => {
      const ifMatch = request.headers['if-match'];
      const changed = await askForRotation({ ...dependencies, store }, tenant, ifMatch);
      const now = await accept(dependencies, { reply, changed, waitMs: query.wait });
      return rotatedView(dependencies, now);
    },
  );
}

/** The credentials for whoever brings the link's token as bearer. Throws ApiError `unauthorized`. */
export async function redeemBearer(
  dependencies: CredentialsDependencies,
  tenant: Tenant,
  token: string,
): Promise<z.infer<typeof credentialsAnswer>> {
  const credentials = await redeem(dependencies, tenant, token);
  if (credentials === undefined) throw linkRefused();
  return credentials;
}

/** Address of the link below the API's own, while it waits to be used. */
export async function credentialsPath(
  vault: Pick<ApiDependencies['vault'], 'link'>,
  uid: string,
): Promise<string | undefined> {
  const token = await vault.link(uid);
  return token && `${TENANTS}/${uid}/credentials/${token}`;
}

async function redeem(
  { vault, events, databaseUrls, subdomainSuffix }: CredentialsDependencies,
  tenant: Tenant,
  token: string,
): Promise<z.infer<typeof credentialsAnswer> | undefined> {
  const { uid } = tenant.metadata;
  const secrets = LINK_TOKEN_PATTERN.test(token) ? await vault.redeem(uid, token) : undefined;
  if (secrets === undefined) return undefined;
  const message = 'the credentials were shown by their one-time link';
  await events.record(uid, [{ type: 'Normal', reason: 'CredentialsShown', message }]);
  const { JWT_SECRET = '', ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY } = secrets.values;
  return {
    jwt_secret: JWT_SECRET,
    ...urlsOf(databaseUrls, uid, secrets),
    app_url: addressOf(tenant, subdomainSuffix).url,
    ...(ANTHROPIC_API_KEY !== undefined && { anthropic_api_key: ANTHROPIC_API_KEY }),
    ...(OPENAI_API_KEY !== undefined && { openai_api_key: OPENAI_API_KEY }),
    ...(GEMINI_API_KEY !== undefined && { gemini_api_key: GEMINI_API_KEY }),
  };
}

/** The wish first, then the password: after a crash between them the loop makes it. */
async function askForRotation(
  { store, vault, clock }: CredentialsDependencies,
  tenant: Tenant,
  ifMatch: string | undefined,
): Promise<Tenant> {
  const { uid } = tenant.metadata;
  if ((await vault.describe(uid)) === undefined)
    throw notProvisioned(tenant, 'rotate the credentials of', 'it has none yet');
  const changed = await changeSpec({ store, tenant, ifMatch }, (now) => rotateCredentials(now, clock.now()));
  await vault.rotate(uid, changed.spec.credentialsRotatedAt ?? '');
  return changed;
}

async function rotatedView(
  { vault, databaseUrls }: CredentialsDependencies,
  tenant: Tenant,
): Promise<z.infer<typeof rotatedAnswer>> {
  const { uid } = tenant.metadata;
  const secrets = await vault.reveal(uid);
  if (secrets === undefined)
    throw notProvisioned(tenant, 'show the new credentials of', 'they were deleted meanwhile');
  const link = await credentialsPath(vault, uid);
  return {
    status: 'rotated',
    message: 'The old password ends and the new one works within seconds; the machine restarts with it.',
    ...urlsOf(databaseUrls, uid, secrets),
    ...(link !== undefined && { secrets_url: link }),
  };
}

/** What a person's own machine uses is `database_url`; the tenant's machine uses the internal one. */
function urlsOf(
  databaseUrls: ApiDependencies['databaseUrls'],
  uid: string,
  { databasePassword }: RevealedSecrets,
) {
  const { internal, external } = databaseUrls(uid, databasePassword);
  return { database_url: external, internal_database_url: internal, external_database_url: external };
}
