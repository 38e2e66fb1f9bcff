/**
 * How does an owner set secrets? Names and times are shown, values never again. A write goes into the vault and wakes
 * the loop, which carries it to Fly and restarts the machine once for all that came in together.
 */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Tenant } from '../../tenant/schema.ts';
import type { SecretRecord } from '../../vault/vault.ts';
import { tenantNotFound } from '../access.ts';
import { ApiError } from '../errors.ts';
import type { Routes } from '../routes.ts';
import { credentialsAnswer, redeemBearer, type CredentialsDependencies } from './credentials.ts';
import {
  isReserved,
  refuseReserved,
  setSecretSchema,
  setSecretsSchema,
  updateSecretSchema,
} from './secret-rules.ts';
import { TENANT } from './tenant-of.ts';
import { refuseDeleted } from './verbs.ts';

const SECRETS = `${TENANT}/secrets`;
const SECRET = `${SECRETS}/:key`;
/** Heading of the reference. */
const SECRETS_TAG = 'Secrets';
const keySchema = z.object({ key: z.string().max(128) });
/** Stands for every value. */
const MASK = '********';

const recordSchema = z.object({
  key: z.string(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});

/** Answer of `GET /secrets`: `keys` is what the CLI reads. */
export const secretListAnswer = z.object({ keys: z.array(z.string()), data: z.array(recordSchema) });
/** Answer of `GET /secrets/{key}`. */
export const secretAnswer = z.object({ data: recordSchema.extend({ value: z.literal(MASK) }) });
/** Answer of every write: which keys were taken, and which of a bulk were left out because they are not the owner's. */
export const secretsSetAnswer = z.object({
  data: z.object({ keys: z.array(z.string()), skipped: z.array(z.string()) }),
});

/** Declares every route below `/tenants/{id}/secrets`. */
export function secretRoutes(routes: Routes, dependencies: CredentialsDependencies): void {
  listRoute(routes, dependencies);
  setRoutes(routes, dependencies);
  readRoute(routes, dependencies);
  updateRoute(routes, dependencies);
  deleteRoute(routes, dependencies);
}

function listRoute(routes: Routes, dependencies: CredentialsDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: SECRETS,
      summary: 'Names of the secrets; with the token of a credentials link, the credentials, once',
      tag: SECRETS_TAG,
      access: 'owner-or-link',
      answers: { 200: z.union([secretListAnswer, credentialsAnswer]) },
    },
    async ({ tenant, linkToken }) => {
      if (linkToken !== undefined) return redeemBearer(dependencies, tenant, linkToken);
      const records = await dependencies.vault.list(tenant.metadata.uid);
      return { keys: records.map(({ name }) => name), data: records.map(recordView) };
    },
  );
}

function setRoutes(routes: Routes, dependencies: CredentialsDependencies): void {
  routes.add(
    {
      method: 'PUT',
      path: SECRETS,
      summary: 'Set many secrets; others stay as they are',
      tag: SECRETS_TAG,
      access: 'owner',
      body: setSecretsSchema,
      answers: { 202: secretsSetAnswer },
      errors: ['invalid_secret', 'invalid_state'],
    },
    async ({ tenant, body: { secrets }, request, reply }) => {
      const skipped = Object.keys(secrets).filter(isReserved);
      const taken = Object.fromEntries(Object.entries(secrets).filter(([key]) => !isReserved(key)));
      await write(dependencies, { tenant, request }, taken);
      reply.code(202);
      return { data: { keys: Object.keys(taken), skipped } };
    },
  );
  routes.add(
    {
      method: 'POST',
      path: SECRETS,
      summary: 'Set one secret',
      tag: SECRETS_TAG,
      access: 'owner',
      body: setSecretSchema,
      answers: { 202: secretsSetAnswer },
      errors: ['invalid_secret', 'reserved_secret', 'invalid_state'],
    },
    async ({ tenant, body: { key, value }, request, reply }) => {
      refuseReserved(key);
      await write(dependencies, { tenant, request }, { [key]: value });
      reply.code(202);
      return { data: { keys: [key], skipped: [] } };
    },
  );
}

function readRoute(routes: Routes, dependencies: CredentialsDependencies): void {
  routes.add(
    {
      method: 'GET',
      path: SECRET,
      summary: 'When a secret was set; never its value',
      tag: SECRETS_TAG,
      access: 'owner',
      params: keySchema,
      answers: { 200: secretAnswer },
      errors: ['secret_not_found'],
    },
    async ({ tenant, params: { key } }) => {
      const record = await findSecret(dependencies, tenant, key);
      return { data: { ...recordView(record), value: MASK } };
    },
  );
}

function updateRoute(routes: Routes, dependencies: CredentialsDependencies): void {
  routes.add(
    {
      method: 'PATCH',
      path: SECRET,
      summary: 'Give a secret another value',
      tag: SECRETS_TAG,
      access: 'owner',
      params: keySchema,
      body: updateSecretSchema,
      answers: { 202: secretsSetAnswer },
      errors: ['secret_not_found', 'invalid_secret', 'invalid_state'],
    },
    async ({ tenant, params: { key }, body: { value }, request, reply }) => {
      const { name } = await findSecret(dependencies, tenant, key);
      await write(dependencies, { tenant, request }, { [name]: value });
      reply.code(202);
      return { data: { keys: [name], skipped: [] } };
    },
  );
}

function deleteRoute(routes: Routes, dependencies: CredentialsDependencies): void {
  routes.add(
    {
      method: 'DELETE',
      path: SECRET,
      summary: 'Delete a secret',
      tag: SECRETS_TAG,
      access: 'owner',
      params: keySchema,
      // What is not there is deleted already: scripts and the CLI delete without looking.
      answers: { 204: { description: 'There is none of that name.' } },
      errors: ['invalid_state'],
    },
    async ({ tenant, params: { key }, request, reply }) => {
      refuseDeleted(tenant, 'delete secrets of');
      const records = await dependencies.vault.list(tenant.metadata.uid);
      if (records.some(({ name }) => name === key))
        await write(dependencies, { tenant, request }, { [key]: null });
      return reply.code(204).send();
    },
  );
}

/** Writes to the vault. A tenant that went meanwhile leaves nothing behind there. */
async function write(
  { vault, store }: CredentialsDependencies,
  { tenant, request }: { readonly tenant: Tenant; readonly request: FastifyRequest },
  values: Readonly<Record<string, string | null>>,
): Promise<void> {
  refuseDeleted(tenant, 'set secrets of');
  const { uid } = tenant.metadata;
  const names = Object.keys(values);
  if (names.length === 0) return;
  await vault.set(uid, values);
  const gone = names.filter((name) => values[name] === null);
  const set = names.filter((name) => values[name] !== null);
  request.noted = {
    ...(gone.length > 0 && { before: { secrets: gone } }),
    ...(set.length > 0 && { after: { secrets: set } }),
  };
  if ((await store.getByUid(uid)) !== undefined) return;
  await vault.forget(uid);
  throw tenantNotFound(uid);
}

async function findSecret(
  { vault }: CredentialsDependencies,
  { metadata }: Tenant,
  key: string,
): Promise<SecretRecord> {
  const record = (await vault.list(metadata.uid)).find(({ name }) => name === key);
  if (record !== undefined) return record;
  throw new ApiError(
    'secret_not_found',
    `cannot find secret "${key}": tenant "${metadata.uid}" has none of that name`,
  );
}

function recordView({ name, createdAt, updatedAt }: SecretRecord) {
  return { key: name, created_at: createdAt.toISOString(), updated_at: updatedAt.toISOString() };
}
