/**
 * How does an owner set secrets? Names and times are shown, values never again. A write goes into the vault and wakes
 * the loop, which carries it to Fly and restarts the machine once for all that came in together.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Tenant } from '../../tenant/schema.ts';
import type { SecretRecord } from '../../vault/vault.ts';
import { findTenant, tenantNotFound } from '../access.ts';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';
import { redeemBearer, type CredentialsDependencies } from './credentials.ts';
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

/** Registers every route below `/tenants/{id}/secrets`. */
export function secretRoutes(scope: FastifyInstance, dependencies: CredentialsDependencies): void {
  const { vault } = dependencies;

  scope.get(SECRETS, { config: { takesLinkToken: true } }, async (request) => {
    if (request.linkToken !== undefined) return redeemBearer(dependencies, request, request.linkToken);
    const tenant = await findTenant(dependencies, request);
    const records = await vault.list(tenant.metadata.uid);
    return { keys: records.map(({ name }) => name), data: records.map(recordView) };
  });

  scope.put(SECRETS, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const { secrets } = parse(setSecretsSchema, request.body, 'the body');
    const skipped = Object.keys(secrets).filter(isReserved);
    const taken = Object.fromEntries(Object.entries(secrets).filter(([key]) => !isReserved(key)));
    await write(dependencies, tenant, taken);
    return reply.code(202).send({ data: { keys: Object.keys(taken), skipped } });
  });

  scope.post(SECRETS, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const { key, value } = parse(setSecretSchema, request.body, 'the body');
    refuseReserved(key);
    await write(dependencies, tenant, { [key]: value });
    return reply.code(202).send({ data: { keys: [key], skipped: [] } });
  });

  oneSecretRoutes(scope, dependencies);
}

function oneSecretRoutes(scope: FastifyInstance, dependencies: CredentialsDependencies): void {
  const path = `${SECRETS}/:key`;

  scope.get(path, async (request) => {
    const tenant = await findTenant(dependencies, request);
    const record = await findSecret(dependencies, tenant, keyOf(request));
    return { data: { ...recordView(record), value: MASK } };
  });

  scope.patch(path, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const { value } = parse(updateSecretSchema, request.body, 'the body');
    const { name } = await findSecret(dependencies, tenant, keyOf(request));
    await write(dependencies, tenant, { [name]: value });
    return reply.code(202).send({ data: { keys: [name], skipped: [] } });
  });

  // What is not there is deleted already: scripts and the CLI delete without looking.
  scope.delete(path, async (request, reply) => {
    const tenant = await findTenant(dependencies, request);
    const key = keyOf(request);
    refuseDeleted(tenant, 'delete secrets of');
    const records = await dependencies.vault.list(tenant.metadata.uid);
    if (records.some(({ name }) => name === key)) await write(dependencies, tenant, { [key]: null });
    return reply.code(204).send();
  });
}

/** Writes to the vault. A tenant that went meanwhile leaves nothing behind there. */
async function write(
  { vault, store }: CredentialsDependencies,
  tenant: Tenant,
  values: Readonly<Record<string, string | null>>,
): Promise<void> {
  refuseDeleted(tenant, 'set secrets of');
  const { uid } = tenant.metadata;
  if (Object.keys(values).length === 0) return;
  await vault.set(uid, values);
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

function keyOf(request: FastifyRequest): string {
  return parse(z.object({ key: z.string().max(128) }), request.params, 'the path').key;
}

function recordView({ name, createdAt, updatedAt }: SecretRecord) {
  return { key: name, created_at: createdAt.toISOString(), updated_at: updatedAt.toISOString() };
}
