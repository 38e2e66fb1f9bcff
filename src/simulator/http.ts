/**
 * How does the simulated Fly speak HTTP? Requests are read up to a limit and handed on as plain data; deliveries
 * are written out, or cut, or left hanging.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from './call.ts';
import type { SimulatedRequest } from './routes.ts';

/** Larger than any config or manifest that makes sense. */
const MOST_BODY_BYTES = 4 * 1024 * 1024;

/** The request as data; undefined when its body is too large. */
export async function readRequest(message: IncomingMessage): Promise<SimulatedRequest | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  const url = new URL(message.url ?? '/', 'http://simulator');
  const headers = Object.entries(message.headers).map(([name, value]): [string, string | undefined] => [
    name,
    Array.isArray(value) ? value.join(', ') : value,
  ]);
  return {
    method: message.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: Object.fromEntries(headers),
    ...(bytes > 0 && { body: Buffer.concat(chunks).toString('utf8') }),
  };
}

/** Writes an answer. To HEAD goes everything but the body. */
export function writeAnswer(response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return;
  const text = answer.text ?? (answer.json === undefined ? '' : JSON.stringify(answer.json));
  const type = answer.json === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' };
  const length = answer.status === 204 ? {} : { 'content-length': Buffer.byteLength(text) };
  response.writeHead(answer.status, { ...type, ...length, ...answer.headers });
  response.end(response.req.method === 'HEAD' || answer.status === 204 ? undefined : text);
}

/** Cuts the connection in the middle of the exchange, as a crashed proxy would. */
export function cut(response: ServerResponse): void {
  const { socket } = response;
  if (socket === null) return;
  socket.resetAndDestroy();
}
