/**
 * What is the command `cloud tenant create`? The whole story of a first tenant, in the order in which each era tells
 * it: order, pay, watch, fetch the credentials once, and deploy.
 */
import { me, type Me } from './account.ts';
import { buy, plans, type Purchase } from './checkout.ts';
import { readCredentials, setExternalAccess, type Credentials } from './credentials.ts';
import { deploy, type Deployed, type Project } from './deploy.ts';
import { CliError } from './http.ts';
import { awaitTenant } from './provisioning.ts';
import type { Session } from './session.ts';
import { status } from './tenants.ts';

export interface CreatedTenant {
  readonly purchase: Purchase;
  readonly credentials: Credentials;
  readonly deployed: Deployed | undefined;
  readonly listed: Me['tenants'][number];
  /** How late CLIs learned that the tenant is ready for its first deploy. */
  readonly learnedBy?: 'stream' | 'status';
}

/** Throws CliError with what the user reads. */
export async function createTenant(
  session: Session,
  wish: { readonly plan: string; readonly region: string; readonly project: Project },
  means: Parameters<typeof buy>[2],
): Promise<CreatedTenant> {
  const plan = (await plans(session)).find(({ name }) => name === wish.plan);
  if (plan === undefined) throw new CliError(`No plan ${wish.plan}`);
  const purchase = await buy(session, { priceId: plan.paddle_price_id, region: wish.region }, means);
  const { tenantId } = purchase;
  const first = (): Promise<Deployed | undefined> =>
    purchase.needsDeploy ? deploy(session, tenantId, wish.project) : Promise.resolve(undefined);

  if (session.http.era === 'E1') {
    const deployed = await first();
    const listed = await findListed(session, tenantId);
    return { purchase, deployed, listed, credentials: await fetchCredentials(session, tenantId) };
  }
  const learnedBy = session.http.era === 'E4' ? await awaitTenant(session, tenantId, means) : undefined;
  const credentials = await fetchCredentials(session, tenantId);
  await setExternalAccess(session, tenantId, true);
  const listed = await findListed(session, tenantId);
  const deployed = await first();
  return { purchase, credentials, listed, deployed, ...(learnedBy !== undefined && { learnedBy }) };
}

async function fetchCredentials(session: Session, tenantId: string): Promise<Credentials> {
  const { secrets_url: url } = await status(session, tenantId);
  if (url === undefined) throw new CliError('No secrets URL');
  return readCredentials(session, url);
}

async function findListed(session: Session, tenantId: string): Promise<Me['tenants'][number]> {
  const listed = (await me(session)).tenants.find(({ id }) => id === tenantId);
  if (listed === undefined) throw new CliError('Tenant not found after checkout');
  return listed;
}
