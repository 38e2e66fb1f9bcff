/**
 * What of a request may be written down? Nothing that is a secret by its name, wherever it stands. What is kept of
 * requests passes through here; the log has a list of its own (src/log.ts) for what reaches it by mistake.
 */

/** The ends of names whose values are secrets: `DATABASE_URL`, `stripe_secret`, `githubToken`, but not `token_count`. */
const SECRET_NAME =
  /(password|passwd|secret|token|api_?key|private_?key|credentials?|authorization|cookie|database_?url|signature|pepper|pem)$/i;
const REDACTED = '[redacted]';

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** The same JSON with every value of a secret name replaced. */
export function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      typeof inner === 'string' && isSecretName(name) ? REDACTED : redact(inner),
    ]),
  );
}
