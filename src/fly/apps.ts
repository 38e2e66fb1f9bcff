/**
 * What can be asked of Fly's apps? An app's name is global across all of Fly's customers, so a read tells three
 * things apart: ours, nobody's (404), somebody else's (403, NameTaken).
 */
import { z } from 'zod';
import { json, nothing, type Call, type Transport } from './call.ts';
import { appSchema, listOf, wire } from './decode.ts';
import type { FlyApps } from './fly.ts';
import { PACE, type Rate } from './limiter.ts';

/** Fly allows 100 deletions of apps a minute over all; how many at once is not documented. */
const DELETE_RATE: Rate = { perSecond: (100 / 60) * PACE, burst: 10 };

const appsSchema = wire<{ apps: z.infer<typeof appSchema>[] }>({ apps: listOf(appSchema) });
const tokenSchema = wire<{ token: string }>({ token: z.string().min(1) });
const createdSchema = wire<{ id: string }>({ id: z.string() });

export function createApps(transport: Transport, { orgSlug }: { orgSlug: string }): FlyApps {
  return {
    get: (app, signal) =>
      transport(
        {
          operation: 'Apps_show',
          subject: ['read', 'app', app],
          path: ['apps', app],
          limit: { id: app },
          decode: json(appSchema),
          means: { 404: () => undefined },
        },
        signal,
      ),
    list: (signal) =>
      transport(
        {
          operation: 'Apps_list',
          subject: ['list', 'apps of organisation', orgSlug],
          path: ['apps'],
          query: { org_slug: orgSlug },
          limit: { id: orgSlug },
          decode: (answer) => json(appsSchema)(answer).apps,
        },
        signal,
      ),
    create: ({ name, network }, signal) =>
      transport(
        {
          operation: 'Apps_create',
          subject: ['create', 'app', name],
          method: 'POST',
          path: ['apps'],
          body: { name, org_slug: orgSlug, ...(network !== undefined && { network }) },
          limit: { id: name },
          decode: (answer) => ({ id: json(createdSchema)(answer).id }),
        },
        signal,
      ),
    delete: (app, signal) =>
      transport(
        {
          operation: 'Apps_delete',
          subject: ['delete', 'app', app],
          method: 'DELETE',
          path: ['apps', app],
          // Stops what still runs in it.
          query: { force: true },
          limit: { id: orgSlug, rate: DELETE_RATE },
          decode: nothing,
          means: { 404: nothing },
        },
        signal,
      ),
    createDeployToken: (app, { expiryMs }, signal) => transport(deployTokenCall(app, expiryMs), signal),
  };
}

function deployTokenCall(app: string, expiryMs: number): Call<string> {
  return {
    operation: 'App_create_deploy_token',
    subject: ['create', 'deploy token of app', app],
    method: 'POST',
    path: ['apps', app, 'deploy_token'],
    // Go's duration text; without it the token would be good for twenty years.
    body: { expiry: `${Math.ceil(expiryMs / 1_000)}s` },
    limit: { id: app },
    confidential: true,
    decode: (answer) => json(tokenSchema)(answer).token,
  };
}
