/**
 * How does the CLI bring an image to run? It is told where to push and with what, pushes, and says so; it waits for
 * nothing, the answer is all that its user sees. Secrets of the profile go up afterwards (E1b) or before (E4).
 */
import { z } from 'zod';
import type { Docker } from './docker.ts';
import { data, option } from './serde.ts';
import { mapped, setSecrets } from './secrets.ts';
import type { Session } from './session.ts';

const text = z.string();
const tokenSchema = data(
  z.object({ registry: text, username: text, token: text, repository: text, tag: text }),
);
const deployedSchema = data(z.object({ status: text, app_url: option(text) }));

export type RegistryToken = z.infer<typeof tokenSchema>['data'];
export type Deployed = z.infer<typeof deployedSchema>['data'];

/** What lies in the project of whoever deploys. */
export interface Project {
  readonly docker: Docker;
  readonly profile: string;
  /** `secrets.json` of the profile. */
  readonly secrets: Readonly<Record<string, string | null>>;
  /** PEM, in late CLIs. */
  readonly signingKey: string;
  readonly email: string;
}

export async function registryToken(session: Session, tenantId: string): Promise<RegistryToken> {
  return session.onTenant(
    { method: 'GET', path: `/api/v1/tenants/${tenantId}/registry-token` },
    async (call) => (await session.http.decode(call, tokenSchema)).data,
  );
}

/** Says that an image shall run. Of the CLI's commands only `deploy` calls it, with the image of the token's answer. */
export async function askForDeploy(session: Session, tenantId: string, image: string): Promise<Deployed> {
  return session.onTenant(
    { method: 'POST', path: `/api/v1/tenants/${tenantId}/deploy`, json: { image } },
    async (call) => (await session.http.decode(call, deployedSchema)).data,
  );
}

/** The whole command. Returns what its user is told at the end. */
export async function deploy(
  session: Session,
  tenantId: string,
  project: Project,
): Promise<Deployed & { readonly image: string }> {
  const { era } = session.http;
  const { registry, username, token, repository, tag } = await registryToken(session, tenantId);
  const image = `${registry}/${repository}:${tag}`;
  await project.docker.login({ registry, username, password: token });
  await project.docker.push(image);
  if (era === 'E4') await setAll(session, tenantId, lateSecrets(session, project));
  const deployed = await askForDeploy(session, tenantId, image);
  if (era === 'E1b') await setAll(session, tenantId, [mapped(project.secrets), profileOf(project)]);
  return { ...deployed, image };
}

function lateSecrets(session: Session, project: Project): readonly Record<string, string>[] {
  return [
    {
      ...mapped(project.secrets),
      SIGNING_KEY_PEM: Buffer.from(project.signingKey, 'utf8').toString('base64'),
    },
    {
      SYSTEMPROMPT_API_TOKEN: session.operatorToken,
      SYSTEMPROMPT_USER_EMAIL: project.email,
      SYSTEMPROMPT_CLI_REMOTE: 'true',
    },
    profileOf(project),
  ];
}

function profileOf({ profile }: Project): Record<string, string> {
  return { SYSTEMPROMPT_PROFILE: `/app/services/profiles/${profile}/profile.yaml` };
}

/** One request each, one after the other. */
async function setAll(
  session: Session,
  tenantId: string,
  groups: readonly Record<string, string>[],
): Promise<void> {
  for (const group of groups) await setSecrets(session, tenantId, group);
}
