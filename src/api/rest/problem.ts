/**
 * How does the REST door say that something went wrong? In the envelope that the `systemprompt` CLI decodes
 * (`{error: {code, message}}`), or as problem details (RFC 9457) for whoever accepts them.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS, type ApiError } from '../errors.ts';

const PROBLEM = 'application/problem+json';

/** Answers with the error in the shape that the client asked for. Code and headers are already set. */
export function sendProblem(error: ApiError, request: FastifyRequest, reply: FastifyReply): void {
  const { code, status, message } = error;
  const issues = error.issues.length > 0 ? { issues: error.issues } : {};
  if (request.headers.accept?.includes(PROBLEM) !== true) {
    void reply.type('application/json').send({ error: { code, message, request_id: request.id, ...issues } });
    return;
  }
  void reply.type(PROBLEM).send({
    type: `urn:landlord:error:${code}`,
    title: ERRORS[code].title,
    status,
    detail: message,
    instance: `urn:landlord:request:${request.id}`,
    code,
    ...issues,
  });
}
