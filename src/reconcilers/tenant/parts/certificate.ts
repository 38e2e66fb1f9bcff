/**
 * Certificates for the built-in hostname and the custom ones. Whether one is issued depends on DNS, which is
 * the owner's: a certificate that was requested and is not issued yet is reported, and holds nothing up.
 */
import type { WireCertificate } from '../../../fly/wire.ts';
import { appOf, hostnameOf, type PlanInput } from '../input.ts';
import { type DraftStep, type PartPlan } from '../steps.ts';

/** How often to look at certificates that are not issued yet: often at first, then ever more rarely. */
const RECHECK_MS = { shortest: 10_000, longest: 600_000 };

/** Journal key of a certificate; it also says that the certificate is ours to delete. */
export function certificateIntent(hostname: string): string {
  return `certificate/${hostname}`;
}

/** Sets CertificateReady: True/Issued when all are active, False/PendingValidation while DNS is awaited. */
export function planCertificates(input: PlanInput): PartPlan {
  const { tenant, observed, settings } = input;
  const app = appOf(tenant);
  const wanted = [hostnameOf(tenant, settings), ...tenant.spec.hostnames];
  const existing = new Map(observed.certificates.map((certificate) => [certificate.hostname, certificate]));
  const steps: DraftStep[] = [
    ...wanted
      .filter((hostname) => !existing.has(hostname))
      .map((hostname) => ({
        kind: 'requestCertificate' as const,
        app,
        hostname,
        target: hostname,
        why: 'the hostname has no certificate',
        intent: certificateIntent(hostname),
      })),
    ...[...existing.keys()]
      .filter(
        (hostname) => !wanted.includes(hostname) && tenant.status?.requested?.[certificateIntent(hostname)],
      )
      .map((hostname) => ({
        kind: 'deleteCertificate' as const,
        app,
        hostname,
        target: hostname,
        why: 'the hostname is no longer in the spec',
      })),
  ];
  if (steps.length > 0)
    return {
      steps,
      finding: {
        status: 'False',
        reason: 'RequestingCertificates',
        message: 'certificates are being requested',
      },
    };
  return issued(
    wanted.flatMap((hostname) => existing.get(hostname) ?? []),
    input.now,
  );
}

function issued(certificates: readonly WireCertificate[], now: number): PartPlan {
  const pending = certificates.filter((certificate) => certificate.status !== 'active');
  if (pending.length === 0)
    return {
      steps: [],
      finding: { status: 'True', reason: 'Issued', message: 'all certificates are issued' },
    };
  // Only lists tell the age: what an answer shows without one was requested just now.
  const youngest = Math.max(...pending.map((certificate) => Date.parse(certificate.created_at ?? '') || now));
  const names = pending.map((certificate) => certificate.hostname).sort();
  return {
    steps: [],
    finding: {
      status: 'False',
      reason: 'PendingValidation',
      message: `waiting for ${names.join(', ')} to be validated: DNS must point to the app`,
    },
    recheckMs: Math.min(Math.max((now - youngest) / 2, RECHECK_MS.shortest), RECHECK_MS.longest),
  };
}
