/**
 * Which hostnames of an app have a certificate? An ACME certificate is issued a while after it was asked for,
 * once the app has an address to point DNS at; the control surface can hold it back, fail it or activate it.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { created, noContent, ok, parseBody, type Answer, type Call } from './call.ts';
import { changed, drawMs, plan, timestamp, type Moment } from './moment.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import type { AppRecord, CertificateRecord } from './state.ts';

const HOSTNAME = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/;

/** What certificate authorities give today. */
const VALID_MS = 90 * 24 * 60 * 60_000;

/** Fly's default and most for `limit`. */
const PAGE = { usual: 25, most: 500 };

function addressesOf(app: AppRecord, types: readonly string[]): string[] {
  return app.addresses.filter(({ type }) => types.includes(type)).map(({ ip }) => ip);
}

function requirementsView(app: AppRecord, hostname: string): Record<string, unknown> {
  return {
    a: addressesOf(app, ['v4', 'shared_v4']),
    aaaa: addressesOf(app, ['v6']),
    cname: `${app.id.slice(0, 7)}.${app.name}.fly.dev`,
    acme_challenge: {
      name: `_acme-challenge.${hostname}`,
      target: `${hostname}.${app.id.slice(0, 7)}.flydns.net`,
    },
    ownership: {
      name: `_fly-ownership.${hostname}`,
      app_value: `app-${app.id}`,
      org_value: `org-${app.org}`,
    },
  };
}

function entriesView({ issuedAt }: CertificateRecord): Record<string, unknown>[] {
  if (issuedAt === null) return [];
  const expires = timestamp(issuedAt + VALID_MS);
  const issued = ['rsa', 'ecdsa'].map((type) => ({
    type,
    expires_at: expires,
    certificate_authority: 'lets_encrypt',
  }));
  return [
    {
      source: 'fly',
      status: 'active',
      created_at: timestamp(issuedAt),
      expires_at: expires,
      issuer: "Let's Encrypt",
      issued,
    },
  ];
}

function statusOf(certificate: CertificateRecord): 'active' | 'pending_validation' {
  return certificate.issuedAt === null ? 'pending_validation' : 'active';
}

function detailView(app: AppRecord, certificate: CertificateRecord): Record<string, unknown> {
  const { hostname, issuedAt, failure } = certificate;
  const configured = issuedAt !== null;
  return {
    hostname,
    configured,
    acme_requested: true,
    status: statusOf(certificate),
    dns_provider: 'simulated',
    certificates: entriesView(certificate),
    validation: {
      dns_configured: configured,
      alpn_configured: configured,
      http_configured: configured,
      ownership_txt_configured: false,
    },
    dns_requirements: requirementsView(app, hostname),
    validation_errors:
      failure === null
        ? []
        : [
            {
              code: failure.code,
              message: failure.message,
              remediation: 'Check the DNS records of the hostname.',
              timestamp: timestamp(failure.at),
            },
          ],
  };
}

function summaryView(certificate: CertificateRecord): Record<string, unknown> {
  const configured = certificate.issuedAt !== null;
  return {
    hostname: certificate.hostname,
    status: statusOf(certificate),
    dns_provider: 'simulated',
    acme_dns_configured: configured,
    acme_alpn_configured: configured,
    acme_http_configured: configured,
    ownership_txt_configured: false,
    configured,
    acme_requested: true,
    has_custom_certificate: false,
    has_fly_certificate: configured,
    created_at: timestamp(certificate.createdAt),
    updated_at: timestamp(certificate.updatedAt),
  };
}

function certificateOf(app: AppRecord, call: Call): CertificateRecord {
  const wanted = (call.params.hostname ?? '').toLowerCase();
  const certificate = app.certificates.find(({ hostname }) => hostname === wanted);
  if (certificate === undefined) throw notFound('certificate');
  return certificate;
}

export function listCertificates(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const limit = Math.min(Number(call.query.get('limit') ?? PAGE.usual), PAGE.most);
  if (!Number.isSafeInteger(limit) || limit < 1) throw invalid('limit must be a positive number');
  const filter = call.query.get('filter') ?? '';
  const cursor = call.query.get('cursor') ?? '';
  const matching = app.certificates
    .filter(({ hostname }) => hostname.includes(filter))
    .sort((a, b) => (a.hostname < b.hostname ? -1 : 1));
  const rest = matching.filter(({ hostname }) => hostname > cursor);
  const page = rest.slice(0, limit);
  const more = rest.length > page.length ? { next_cursor: page.at(-1)?.hostname ?? '' } : {};
  return ok({ certificates: page.map(summaryView), total_count: matching.length, ...more });
}

const acmeBody = z.object({ hostname: z.string() });

export function createCertificate(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const hostname = parseBody(acmeBody, call).hostname.toLowerCase();
  if (!HOSTNAME.test(hostname)) throw new Refusal(422, 'Validation failed: Hostname is invalid');
  if (app.certificates.some((certificate) => certificate.hostname === hostname)) {
    throw new Refusal(422, 'Validation failed: Hostname already exists on app');
  }
  const certificate: CertificateRecord = {
    hostname,
    createdAt: moment.now,
    updatedAt: moment.now,
    issuedAt: null,
    held: false,
    failure: null,
  };
  app.certificates.push(certificate);
  plan(moment, app, 'certificateIssue', hostname, drawMs(moment, 'certificateIssue'));
  changed(moment, app);
  return created(detailView(app, certificate));
}

export function showCertificate(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  return ok(detailView(app, certificateOf(app, call)));
}

/** Validates now what would be validated later. */
export function checkCertificate(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const certificate = certificateOf(app, call);
  issueCertificate(moment, app, certificate.hostname);
  const { a, aaaa } = requirementsView(app, certificate.hostname);
  return ok({ ...detailView(app, certificate), dns_records: { a, aaaa, cname: [], resolved_addresses: [] } });
}

export function deleteCertificate(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const certificate = certificateOf(app, call);
  app.certificates = app.certificates.filter((other) => other !== certificate);
  moment.agenda.cancel(app, 'certificateIssue', certificate.hostname);
  changed(moment, app);
  return noContent();
}

/** The agenda's turn: issues the certificate if the hostname can be validated, or tries again later. */
export function issueCertificate(moment: Moment, app: AppRecord, hostname: string): void {
  const certificate = app.certificates.find((candidate) => candidate.hostname === hostname);
  if (certificate === undefined || certificate.issuedAt !== null || certificate.held) return;
  moment.agenda.cancel(app, 'certificateIssue', hostname);
  if (addressesOf(app, ['v4', 'v6', 'shared_v4']).length > 0) {
    certificate.issuedAt = moment.now;
    certificate.updatedAt = moment.now;
    certificate.failure = null;
  } else {
    // Without any latency "later" would be now, for ever: an app without an address asks again in a second.
    plan(moment, app, 'certificateIssue', hostname, Math.max(1000, drawMs(moment, 'certificateIssue')));
  }
  changed(moment, app);
}
