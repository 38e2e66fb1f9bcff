/**
 * How are documents served that change only with the program? Written once, with an `ETag`, so that a client that
 * has them already is told so in no more than a header.
 */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface StaticDocument {
  readonly contentType: string;
  readonly text: string;
  readonly bytes: Buffer;
  /** In quotes, as the header wants it. */
  readonly etag: string;
}

export function staticDocument(body: unknown, contentType = 'application/json'): StaticDocument {
  const text = JSON.stringify(body);
  return { contentType, text, bytes: Buffer.from(text), etag: `"${hashOf(text)}"` };
}

/** In capital hexadecimal digits, as the API server writes it. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').toUpperCase();
}

/** Answers with the document, or with 304 when the client names its `ETag`. */
export function sendDocument(request: FastifyRequest, reply: FastifyReply, document: StaticDocument): void {
  void reply.headers({ etag: document.etag, vary: 'Accept', 'cache-control': 'no-cache, private' });
  const known = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim());
  if (known.includes(document.etag)) void reply.code(304).send();
  // Bytes, because the framework would write the type of a text in other words than clients compare with.
  else void reply.header('content-type', document.contentType).send(document.bytes);
}
