/**
 * What does a development run make up for itself? Keys that production must be given, credentials for people
 * and scripts, and the first tenants. Everything is kept in the state folder, readable by its owner only.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { EncryptionKey } from './config.ts';
import { readOptional, writePrivate } from './private-file.ts';
import type { TenantStore } from './store/store.ts';

const keysSchema = z.object({
  encryptionKeys: z.array(z.object({ id: z.string(), key: z.base64() })).min(1),
});

export interface DevelopmentKeys {
  readonly encryptionKeys: readonly EncryptionKey[];
}

/** Keys of this state folder, made on the first run: losing them would lose every secret stored with them. */
export async function developmentKeys(stateDir: string): Promise<DevelopmentKeys> {
  const file = join(stateDir, 'keys.json');
  const kept = await readOptional(file);
  const keys =
    kept === undefined
      ? {
          encryptionKeys: [{ id: 'development', key: randomBytes(32).toString('base64') }],
        }
      : keysSchema.parse(JSON.parse(kept));
  if (kept === undefined) await writePrivate(file, json(keys));
  return {
    encryptionKeys: keys.encryptionKeys.map(({ id, key }) => ({ id, key: Buffer.from(key, 'base64') })),
  };
}

/** What humans and scripts need to call the API of this run. */
export interface Credentials {
  readonly api_url: string;
  readonly operator_token: string;
  readonly customer_token: string;
}

/** Writes `credentials.json` and returns its path. */
export async function writeCredentials(stateDir: string, credentials: Credentials): Promise<string> {
  const file = join(stateDir, 'credentials.json');
  await writePrivate(file, json(credentials));
  return file;
}

const manifestSchema = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string().default('default') }),
  spec: z.unknown(),
});

/** By this `kubectl apply` knows later which fields a file no longer has. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Creates every Tenant of a YAML file as `kubectl apply` would, and returns their names. Meant for an empty store. */
export async function applyExamples(
  store: Pick<TenantStore, 'create'>,
  options: { readonly file: URL; readonly finalizer: string },
): Promise<string[]> {
  const names: string[] = [];
  for (const document of parseAllDocuments(await readFile(options.file, 'utf8'))) {
    const manifest: unknown = document.toJS();
    const { metadata, spec } = manifestSchema.parse(manifest);
    const annotations = { [LAST_APPLIED]: json(manifest) };
    await store.create({ metadata: { ...metadata, annotations, finalizers: [options.finalizer] }, spec });
    names.push(metadata.name);
  }
  return names;
}

function json(content: unknown): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}
