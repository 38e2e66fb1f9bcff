/**
 * The app's secrets on Fly against the vault. Values never come back from Fly, so what was set is remembered
 * as the vault's revision and Fly's own digests: another revision or another digest means set again. Fly's list
 * lags behind: for a while after they were set, what it shows of them proves nothing.
 */
import { appOf, graceLeftMs, type PlanInput } from '../input.ts';
import { UNNAMED_GRACE_MS } from '../settings.ts';
import { settled, working, type PartPlan } from '../steps.ts';

/** Name under which every machine finds its database; derived from the vault's password. */
export const DATABASE_URL = 'DATABASE_URL';

/** Journal key of setting secrets. */
const SET_INTENT = 'secrets';

/** Sets SecretsSynced. */
export function planSecrets(input: PlanInput): PartPlan {
  const { tenant, observed } = input;
  const app = appOf(tenant);
  const vault = observed.vault;
  const why = vault === undefined ? 'no secret was ever set' : difference(input);
  if (why === undefined) return settled('Set', 'all secrets are set');
  return working('SettingSecrets', `secrets of app "${app}" are being set`, [
    { kind: 'setSecrets', app, target: app, why, unset: staleNames(input), intent: SET_INTENT },
  ]);
}

function difference(input: PlanInput): string | undefined {
  const { vault, secrets } = input.observed;
  if (vault === undefined) return undefined;
  if (vault.applied === undefined) return 'no secret was ever set';
  if (vault.applied.revision !== vault.revision) return 'secrets changed since they were set';
  if (graceLeftMs(input, SET_INTENT, UNNAMED_GRACE_MS) > 0) return undefined;
  const onFly = new Map(secrets.map((secret) => [secret.name, secret.digest]));
  for (const [name, digest] of Object.entries(vault.applied.digests)) {
    if (!onFly.has(name)) return `secret ${name} is missing on Fly`;
    if (onFly.get(name) !== digest) return `secret ${name} was changed on Fly`;
  }
  return undefined;
}

/** Names that we once set and the vault no longer has; secrets that somebody else set are left alone. */
function staleNames({ observed: { vault } }: PlanInput): string[] {
  const current = new Set([...(vault?.names ?? []), DATABASE_URL]);
  return Object.keys(vault?.applied?.digests ?? {}).filter((name) => !current.has(name));
}
