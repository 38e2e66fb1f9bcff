/**
 * What has to be done? A pure function from what is desired and what is observed to the steps between them.
 * Each part plans for itself (parts/); here they are put in order by what they need:
 *
 *   credentials ─▶ database ───────────────┐
 *   app ─▶ network, volume, certificate    ├─▶ machine
 *   app, credentials ─▶ secrets ───────────┤
 *   image ─────────────────────────────────┘
 *
 * A certificate does not hold the machine up: whether it can be requested and issued depends on DNS.
 */
import { compose, mapParts } from './compose.ts';
import { standingRefusals } from './failures.ts';
import type { PlanInput } from './input.ts';
import { planApp } from './parts/app.ts';
import { planCertificates } from './parts/certificate.ts';
import { planCredentials, planDatabase } from './parts/database.ts';
import { planImage } from './parts/image.ts';
import { planMachine } from './parts/machine.ts';
import { planNetwork } from './parts/network.ts';
import { planSecrets } from './parts/secrets.ts';
import { planVolume } from './parts/volume.ts';
import { planDeletion } from './plan-deletion.ts';
import { blocked, type Part, type PartPlan, type Plan } from './steps.ts';

const NEEDS: Readonly<Record<Part, readonly Part[]>> = {
  credentials: [],
  database: ['credentials'],
  app: [],
  network: ['app'],
  volume: ['app'],
  secrets: ['app', 'credentials'],
  certificate: ['app'],
  image: [],
  machine: ['database', 'app', 'network', 'volume', 'secrets', 'image'],
};

const PLANNERS: Readonly<Record<Part, (input: PlanInput) => PartPlan>> = {
  credentials: planCredentials,
  database: planDatabase,
  app: planApp,
  network: planNetwork,
  volume: planVolume,
  secrets: planSecrets,
  certificate: planCertificates,
  image: planImage,
  machine: planMachine,
};

/** The plan for a tenant as it is desired and observed: to bring it about, or when it is deleted, to end it. */
export function planTenant(input: PlanInput): Plan {
  if (input.tenant.metadata.deletionTimestamp !== undefined) return planDeletion(input);
  return compose(
    mapParts((part) => withFailure(input, PLANNERS[part](input))),
    NEEDS,
  );
}

/**
 * A step that failed for good is not tried again until the spec, a retry (which is a spec change) or a secret
 * changes: until then its part is blocked with the very words of the failure.
 */
function withFailure(input: PlanInput, plan: PartPlan): PartPlan {
  const { tenant, observed } = input;
  const refusals = standingRefusals(tenant, observed.vault?.revision ?? 0);
  const refusal = refusals.find(({ step }) => plan.steps.some(({ kind }) => kind === step));
  return refusal === undefined ? plan : blocked({ reason: refusal.reason, message: refusal.message });
}
