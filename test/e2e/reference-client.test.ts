/**
 * Does the real CLI get along with Landlord, in each of its eras? A client that decodes as strictly as the CLI does goes
 * through a whole life with the built daemon: log in, buy, watch, deploy, manage, cancel, delete. Then all that was
 * logged, kept and answered meanwhile is searched for every secret.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { me, tellActivity } from '../client/account.ts';
import type { Ordered } from '../client/checkout.ts';
import { createTenant, type CreatedTenant } from '../client/create-tenant.ts';
import { readCredentials, rotateCredentials } from '../client/credentials.ts';
import { askForDeploy, deploy, registryToken, type Project } from '../client/deploy.ts';
import { createDocker } from '../client/docker.ts';
import { domainOf, removeDomain, setDomain } from '../client/domains.ts';
import { ERAS, type Era } from '../client/eras.ts';
import { createHttp, CliError } from '../client/http.ts';
import { logIn } from '../client/login.ts';
import { listSecrets, setSecrets, unsetSecret } from '../client/secrets.ts';
import type { Session } from '../client/session.ts';
import { cancelSubscription } from '../client/subscription.ts';
import { dashboard, logs, remove, restart, retryProvision, status, tenants } from '../client/tenants.ts';
import { eventually } from '../support/eventually.ts';
import { describeOnRegistry } from '../support/registry.ts';
import type { Finding } from '../support/secret-hunt.ts';
import { openReferenceHouse, OPERATOR, REPOSITORY, type ReferenceHouse } from './reference-house.ts';
import { opens } from '../support/tenant-databases.ts';

const WAIT_MS = 60_000;
/** Ids are no secrets: they stand wherever there is something to read. */
const DECOY = 'an id';
/** Values that are searched for; every era has its own. */
const secretsOf = (era: Era) => ({
  jwt_secret: `jwt-of-the-profile-of-${era}`,
  database_url: `postgresql://profile:${era}-password-of-the-profile@db.example/profile`,
  gemini: `AIza-gemini-key-of-${era}`,
  anthropic: `sk-ant-key/of+${era}==`,
  openai: null,
  mailer_key: `a "mailer" key & of ${era}`,
});

let house: ReferenceHouse;
let operator: Session;

async function logInAs(
  era: Era,
  person: typeof OPERATOR,
  provider: 'github' | 'oidc' = 'github',
): Promise<Session> {
  house[provider === 'github' ? 'github' : 'issuer'].person = person;
  const http = createHttp({ era, apiUrl: house.url, onExchange: (exchange) => house.overhear(exchange) });
  const session = await logIn(http, { provider, browser: (url) => house.browse(url) });
  house.hunt.hide(`the token of ${person.email}`, session.operatorToken);
  return session;
}

await describeOnRegistry('the CLI', () => {
  beforeAll(async () => {
    house = await openReferenceHouse();
    operator = await logInAs('E4', OPERATOR, 'oidc');
  });
  afterAll(() => house.close());

  describe.each(ERAS)('of %s', (era) => {
    const person = {
      subject: String(100 + ERAS.indexOf(era)),
      email: `${era.toLowerCase()}@example.com`,
      verified: true,
      name: `Somebody of ${era}`,
    };
    const docker = createDocker();
    const shown: string[] = [];
    const dropped: string[] = [];
    const project: Project = {
      docker,
      profile: 'production',
      secrets: secretsOf(era),
      signingKey: `-----BEGIN PRIVATE KEY-----\nkey of ${era}\n-----END PRIVATE KEY-----\n`,
      email: person.email,
    };
    let broken = false;
    let session: Session;
    let created: CreatedTenant;
    let tenantId: string;
    let subscriptionId: string;

    // A life goes on from where the last step has left it.
    beforeEach((context) => {
      if (broken) context.skip('an earlier step of this life has failed');
      context.onTestFailed(() => void (broken = true));
    });

    const becomes = (wanted: string) =>
      eventually(async () => (await status(session, tenantId)).status === wanted, {
        what: `the status to become ${wanted}`,
        timeoutMs: WAIT_MS,
        intervalMs: 200,
      });
    const app = async () => (await house.world()).apps[`sp-${tenantId}`];
    const stopped = () =>
      eventually(async () => ['stopped', 'suspended'].includes((await app())?.machines[0]?.state ?? ''), {
        what: 'the machine to stop',
        timeoutMs: WAIT_MS,
      });
    const refused = (attempt: Promise<unknown>) =>
      attempt.then(
        () => 'nothing was refused',
        (error: unknown) => (error instanceof CliError ? error.message : String(error)),
      );

    /** What the person does in the browser: pay, and be sent back, before or after Paddle's word arrives. */
    async function pay({ checkout_url: url, transaction_id: transaction }: Ordered): Promise<void> {
      const page = await house.browse(url);
      const back = /https?:[^"'\s]+\/return/.exec(page.replaceAll('\\/', '/'))?.[0] ?? '';
      const paid = house.paddle.pay(transaction);
      subscriptionId = paid.subscriptionId;
      if (era === 'E1') await house.browse(back);
      await house.deliver(paid.notifications);
      if (era !== 'E1') await house.browse(back);
    }

    it('logs in, and owns nothing yet', async () => {
      for (const value of [...Object.values(secretsOf(era)), project.signingKey])
        if (value !== null) house.hunt.hide(`a secret of the profile`, value);
      session = await logInAs(era, person);
      const who = await me(session);
      expect(who).toMatchObject({ user: { email: person.email, name: person.name }, tenants: [] });
      expect(await tenants(session)).toEqual([]);
      if (era === 'E4') await tellActivity(session, 'cloud_login', who.user.id);
    });

    it('buys a tenant, watches it being built, reads its credentials once and deploys', async () => {
      docker.build(`the first image of ${era}`);
      created = await createTenant(
        session,
        { plan: 'Basic', region: 'fra', project },
        {
          browser: pay,
          show: (line) => void shown.push(line),
          onDropped: (text) => void dropped.push(text),
          pollIntervalMs: 100,
        },
      );
      tenantId = created.purchase.tenantId;
      house.hunt.hide(DECOY, tenantId);
      house.hunt.hide(DECOY, subscriptionId);
      const types = created.purchase.events.map(({ event_type: type }) => type);
      expect(types[0]).toBe('subscription_created');
      expect(types).toEqual(
        expect.arrayContaining([
          'tenant_created',
          'secrets_stored',
          'database_created',
          'vm_provisioning_progress',
          'secrets_configured',
        ]),
      );
      expect(types.at(-1)).toBe('infrastructure_ready');
      // The stream of the tenant was ended for it: waiting for the machine would never end before a deploy.
      expect(created.learnedBy).toBe(era === 'E4' ? 'status' : undefined);
      expect(shown).toContain('the payment has arrived');
      // Frames that the CLI does not understand would show no progress.
      expect(dropped).toEqual([]);
      expect(created.listed).toMatchObject({ id: tenantId, subscription_status: 'active', region: 'fra' });
      expect(created.listed.hostname).toMatch(/\.tenants\.test$/);
      expect(created.deployed?.status).toMatch(/^deploy(ed|ing)$/);
      expect(created.deployed?.app_url).toBe(`https://${created.listed.hostname ?? ''}`);
      expect(await opens(created.credentials.database_url)).toBe(true);
    }, 120_000);

    it('sees it run, in its list and in its account', async () => {
      await becomes('ready');
      await eventually(async () => (await app())?.machines[0]?.state === 'started', {
        what: 'the machine to start',
        timeoutMs: WAIT_MS,
      });
      expect(await tenants(session)).toMatchObject([
        { id: tenantId, fly_app_name: `sp-${tenantId}`, hostname: created.listed.hostname },
      ]);
      const [listed] = (await me(session)).tenants;
      expect(listed).toMatchObject({ id: tenantId, app_id: `sp-${tenantId}` });
      if (era !== 'E1') {
        expect(listed).toMatchObject({ status: 'active', plan: { name: 'Basic', memory_mb: 512 } });
        // Late CLIs keep the address that they have when they see the mask.
        expect(listed?.database_url).toMatch(/:\*{8}@/);
      }
    });

    it('cannot read the credentials a second time', async () => {
      expect((await status(session, tenantId)).secrets_url).toBeUndefined();
    });

    it('pushes nowhere else with its registry token', async () => {
      const token = await registryToken(session, tenantId);
      expect(token).toMatchObject({ registry: house.registry.host, repository: REPOSITORY });
      await docker.login({ ...token, password: token.token });
      await expect(docker.push(`${token.registry}/sp-${tenantId}:stolen`)).rejects.toThrow(': 403 ');
    });

    it('runs what is pushed next only once it is deployed', async () => {
      const machine = async () => (await app())?.machines[0];
      const before = await machine();
      docker.build(`the second image of ${era}`);
      const deployed = await deploy(session, tenantId, project);
      const digest = await house.registry.digestOf(REPOSITORY, `tenant-${tenantId}`);
      expect(deployed.image).toBe(`${house.registry.host}/${REPOSITORY}:tenant-${tenantId}`);
      await eventually(async () => JSON.stringify(await machine()).includes(digest ?? 'none'), {
        what: 'the machine to run the second image',
        timeoutMs: WAIT_MS,
      });
      await becomes('ready');
      expect((await machine())?.id).toBe(before?.id);
      expect(await refused(askForDeploy(session, tenantId, `${REPOSITORY}:latest`))).toBe(
        `invalid_image: Invalid image. Expected: ${deployed.image}`,
      );
    });

    it('sets secrets, and takes one away', async () => {
      house.hunt.hide('a secret that was set', `value-of-another-key-${era}`);
      await setSecrets(session, tenantId, { ANOTHER_KEY: `value-of-another-key-${era}`, TO_GO: 'x' });
      await unsetSecret(session, tenantId, 'TO_GO');
      await becomes('ready');
      const names = async () => (await app())?.secrets.names ?? [];
      await eventually(async () => (await names()).includes('ANOTHER_KEY'), { what: 'the secret on Fly' });
      expect(await names()).toEqual(expect.arrayContaining(['DATABASE_URL', 'JWT_SECRET']));
      await eventually(async () => !(await names()).includes('TO_GO'), { what: 'the secret to go' });
      if (era === 'E1') return;
      expect(await names()).toEqual(
        expect.arrayContaining(['ANTHROPIC_API_KEY', 'GEMINI_API_KEY', 'MAILER_KEY', 'SYSTEMPROMPT_PROFILE']),
      );
      if (era === 'E4') expect(await listSecrets(session, tenantId)).toContain('SIGNING_KEY_PEM');
      // What the profile says of the managed database does not put the tenant out of it.
      expect(await opens(created.credentials.database_url)).toBe(true);
    });

    it('is told when Fly refuses a secret, without the secret, and tries again', async () => {
      const value = `refused-value-of-${era}`;
      house.hunt.hide('a secret that Fly refused', value);
      await house.refuseSecrets(`sp-${tenantId}`, `invalid value ${value} for REFUSED_KEY`);
      await setSecrets(session, tenantId, { REFUSED_KEY: value });
      await eventually(
        async () => /^cannot set .*Fly answered 422/.test((await status(session, tenantId)).message ?? ''),
        { what: 'the refusal to be told', timeoutMs: WAIT_MS },
      );
      expect(await retryProvision(session, tenantId)).toBe('provisioning');
      await eventually(async () => (await app())?.secrets.names.includes('REFUSED_KEY'), {
        what: 'the secret on Fly after all',
        timeoutMs: WAIT_MS,
      });
      await becomes('ready');
    });

    it.runIf(era !== 'E4')('reads the log', async () => {
      const lines = await eventually(
        async () => {
          const read = await logs(session, tenantId, 20);
          return read.length > 0 ? read : undefined;
        },
        { what: 'a line of the log' },
      );
      expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT\S+ \[\w+\] \S/);
    });

    it('restarts', async () => {
      await becomes('ready');
      const bootedFor = async () => (await app())?.machines[0]?.config.metadata?.['landlord_restarted_at'];
      const before = await bootedFor();
      expect(await restart(session, tenantId)).toBe('restarting');
      await eventually(async () => (await bootedFor()) !== before, {
        what: 'the restart',
        timeoutMs: WAIT_MS,
      });
      await becomes('ready');
      expect((await app())?.machines[0]?.state).toBe('started');
    });

    it.runIf(era !== 'E1')('rotates the password: the old one is dead, the new one opens', async () => {
      const { message, databaseUrl } = await rotateCredentials(session, tenantId);
      expect(message).toMatch(/new one works/);
      await becomes('ready');
      expect(await opens(databaseUrl)).toBe(true);
      expect(await opens(created.credentials.database_url)).toBe(false);
      const url = (await status(session, tenantId)).secrets_url ?? '';
      expect((await readCredentials(session, url)).database_url).toBe(databaseUrl);
      expect(await refused(readCredentials(session, url))).toMatch(/^link_not_found: /);
    });

    it.runIf(era === 'E4')(
      'is given the same new password by a dashboard that asks twice with one key',
      async () => {
        const path = `/api/v1/tenants/${tenantId}/rotate-credentials`;
        const ask = async (): Promise<string> => {
          const headers = { authorization: `Bearer ${session.operatorToken}`, 'idempotency-key': 'once' };
          const answer = await fetch(`${house.url}${path}`, { method: 'POST', headers });
          const text = await answer.text();
          house.overhear({ method: 'POST', path, status: answer.status, text });
          return text;
        };
        const first = await ask();
        expect(first).toContain('"status":"rotated"');
        expect(await ask()).toBe(first);
        await becomes('ready');
      },
    );

    it.runIf(era === 'E4')('has a domain of its own, and gives it up', async () => {
      const domain = `shop.${era.toLowerCase()}.example.com`;
      const set = await setDomain(session, tenantId, domain);
      expect(set).toMatchObject({ domain, dns_instructions: { host: domain } });
      expect((await domainOf(session, tenantId)).dns_target).toBe(set.dns_target);
      await removeDomain(session, tenantId);
      expect(await refused(domainOf(session, tenantId))).toMatch(/^domain_not_found: /);
    });

    it('sleeps and wakes', async () => {
      await dashboard(session, tenantId, 'suspend');
      await becomes('suspended');
      await stopped();
      if (era !== 'E1') expect((await me(session)).tenants[0]?.status).toBe('suspended');
      expect(await refused(restart(session, tenantId))).toMatch(/^invalid_state: .*suspended/);
      await dashboard(session, tenantId, 'activate');
      await becomes('ready');
    });

    it('cancels what it pays, and is served no longer once the grace is over', async () => {
      // The CLI of the first eras cannot: their people cancel on Paddle's own page.
      if (era === 'E4') await cancelSubscription(session, tenantId);
      expect(house.paddle.isCanceling(subscriptionId)).toBe(era === 'E4');
      expect((await me(session)).tenants[0]?.subscription_status).toBe('active');
      await house.deliver([house.paddle.change(subscriptionId, { status: 'canceled' })]);
      await becomes('suspended');
      await stopped();
      expect((await me(session)).tenants[0]?.subscription_status).toBe('canceled');
      const says = `subscription_inactive: cannot use tenant "${tenantId}": its subscription is canceled; renew it first`;
      expect(await refused(dashboard(session, tenantId, 'activate'))).toBe(says);
      expect(await refused(deploy(session, tenantId, project))).toBe(says);
    });

    it('deletes, and nothing is left', async () => {
      await house.sweep(operator.operatorToken);
      await remove(session, tenantId);
      await eventually(async () => (await tenants(session)).length === 0, {
        what: 'the tenant to be gone',
        timeoutMs: WAIT_MS,
        intervalMs: 200,
      });
      expect((await me(session)).tenants).toEqual([]);
      expect((await app())?.machines ?? []).toEqual([]);
      expect((await app())?.volumes ?? []).toEqual([]);
      expect(await house.registry.digestOf(REPOSITORY, `tenant-${tenantId}`)).toBeUndefined();
      expect(await refused(status(session, tenantId))).toBe(
        `tenant_not_found: cannot find tenant "${tenantId}": it does not exist`,
      );
      if (era === 'E4') await tellActivity(session, 'cloud_logout', person.email);
    });
  });

  describe('no secret of all those lives', () => {
    it('shows in a log, an answer, an event, a plan, an error, or any row of the database', async () => {
      await house.sweep(operator.operatorToken);
      const findings = house.hunt.findings();
      const isDecoy = ({ secret }: Finding): boolean => secret === DECOY;
      expect(findings.filter((finding) => !isDecoy(finding))).toEqual([]);
      // What is no secret is found wherever it stands: these places were really searched.
      expect([...new Set(findings.filter(isDecoy).map(({ place }) => place))]).toEqual(
        expect.arrayContaining([
          ...['the log', 'answers', 'the database', 'the world of Fly', 'the calls of Fly'],
          ...['tenants', 'tenant', 'tenant/environment', 'the inbox', 'tenant/subscription'],
        ]),
      );
      expect(house.hunt.secrets()).toEqual(
        expect.arrayContaining([
          ...['FLY_API_TOKEN', 'JWT_SECRET', 'PADDLE_API_KEY', 'GITHUB_CLIENT_SECRET', 'the encryption key'],
          ...['access_token', 'token', 'jwt_secret', 'database_url', 'secrets_url', 'sealed SIGNING_KEY_PEM'],
        ]),
      );
    });
  });
});
