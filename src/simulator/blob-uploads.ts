/**
 * How does `docker push` get its layers in? They are read, hashed and forgotten: a simulated machine runs
 * nothing, so only manifests are kept. A blob is therefore never found, and clients send it every time.
 */
import { createHash, randomUUID, type Hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from './call.ts';
import { writeAnswer } from './http.ts';
import type { Refusal } from './refusal.ts';

export interface BlobUploads {
  /** Answers one request to a blob path. */
  respond(message: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** Uploads that were begun and not ended; beyond so many the oldest are forgotten. */
const MOST_UPLOADS = 256;

const BLOB_PATH = /^\/v2\/(?<repository>.+)\/blobs\/(?:uploads\/(?<upload>[a-f0-9-]*)|sha256:[a-f0-9]{64})$/;

/** Whether a URL (with its query) is about a blob. */
export function isBlobPath(url: string): boolean {
  return BLOB_PATH.test(url.split('?')[0] ?? '');
}

interface Upload {
  readonly hash: Hash;
  bytes: number;
}

async function consume(message: IncomingMessage, upload: Upload): Promise<void> {
  for await (const chunk of message as AsyncIterable<Buffer>) {
    upload.hash.update(chunk);
    upload.bytes += chunk.length;
  }
}

function problem(status: number, code: string): Answer {
  return { status, json: { errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] } };
}

/** `refusalOf` tells why a token is not good for a repository. */
export function createBlobUploads(options: {
  readonly refusalOf: (authorization: string, repository: string) => Refusal | undefined;
}): BlobUploads {
  const uploads = new Map<string, Upload>();

  function begin(): [string, Upload] {
    const [oldest] = uploads.keys();
    if (oldest !== undefined && uploads.size >= MOST_UPLOADS) uploads.delete(oldest);
    const id = randomUUID();
    const upload = { hash: createHash('sha256'), bytes: 0 };
    uploads.set(id, upload);
    return [id, upload];
  }

  /** Takes what came of an upload; with a digest in the query that was the last of it. */
  async function receive(
    message: IncomingMessage,
    place: string,
    [id, upload]: [string, Upload],
  ): Promise<Answer> {
    await consume(message, upload);
    const wanted = new URL(message.url ?? '/', 'http://simulator').searchParams.get('digest');
    if (wanted === null) {
      const range = `0-${Math.max(0, upload.bytes - 1)}`;
      return {
        status: 202,
        headers: { location: `${place}/uploads/${id}`, range, 'docker-upload-uuid': id },
      };
    }
    uploads.delete(id);
    if (`sha256:${upload.hash.digest('hex')}` !== wanted) return problem(400, 'DIGEST_INVALID');
    return { status: 201, headers: { location: `${place}/${wanted}`, 'docker-content-digest': wanted } };
  }

  async function answer(message: IncomingMessage): Promise<Answer> {
    const path = (message.url ?? '').split('?')[0] ?? '';
    const { repository = '', upload: id } = BLOB_PATH.exec(path)?.groups ?? {};
    if (message.headers.authorization === undefined) {
      return { status: 401, headers: { 'www-authenticate': 'Basic realm="registry"' } };
    }
    const refusal = options.refusalOf(message.headers.authorization, repository);
    if (refusal !== undefined)
      return problem(refusal.status, refusal.status === 401 ? 'UNAUTHORIZED' : 'DENIED');
    if (id === undefined) return problem(404, 'BLOB_UNKNOWN');
    const place = `/v2/${repository}/blobs`;
    if (message.method === 'POST' && id === '') return receive(message, place, begin());
    const upload = uploads.get(id);
    return upload === undefined ? problem(404, 'BLOB_UPLOAD_UNKNOWN') : receive(message, place, [id, upload]);
  }

  return {
    async respond(message, response) {
      writeAnswer(response, await answer(message));
    },
  };
}
