/**
 * Who is at the other end of the line? The address from which a request really came, and the id under which it is
 * spoken of. Headers about addresses are only believed when a proxy that the operator trusts has sent them: anybody
 * can write one.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** Whether this peer may say where a request came from. */
export type TrustsProxy = (address: string) => boolean;

/** In the order of who knows best; each must be set by the proxy itself, never passed on. */
const ADDRESS_HEADERS = ['cf-connecting-ip', 'x-real-ip'] as const;
const COUNTRY_HEADER = 'cf-ipcountry';
const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{7,63}$/;

/** The client's own `X-Request-Id` if it is a well-formed one, so that both sides' logs can be laid side by side. */
export function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** The address of the client: of the peer, or, behind a trusted proxy, the one that it names. */
export function clientAddress(request: FastifyRequest, trustsProxy: TrustsProxy): string {
  const peer = request.socket.remoteAddress ?? 'unknown';
  if (!trustsProxy(peer)) return peer;
  for (const header of ADDRESS_HEADERS) {
    const named = request.headers[header];
    if (typeof named === 'string' && isIP(named) !== 0) return named;
  }
  // The last address in X-Forwarded-For that no trusted proxy has: what stands before it, the client wrote itself.
  return request.ip;
}

/** Two letters, where a trusted proxy tells. */
export function clientCountry(request: FastifyRequest, trustsProxy: TrustsProxy): string | undefined {
  const country = request.headers[COUNTRY_HEADER];
  if (typeof country !== 'string' || !/^[A-Z0-9]{2}$/.test(country)) return undefined;
  return trustsProxy(request.socket.remoteAddress ?? '') ? country : undefined;
}
