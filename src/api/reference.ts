/**
 * Where does one look up the API? `/openapi.json` for programs, `/docs` for people: Swagger UI, whose files come with
 * the package and are served from here, so that the page works without any other host.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { describeApi } from './openapi.ts';
import { collectRoutes, refuseOtherMethods } from './routes.ts';

const ASSETS = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const FILES = {
  '/docs/swagger-ui.css': 'text/css; charset=utf-8',
  '/docs/swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
} as const;

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Landlord: API reference</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;
/** A file of its own, so that the page may forbid scripts inside itself. */
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#reference', deepLinking: true, tryItOutEnabled: true });\n`;

/** Swagger UI writes styles and small images into the page; it loads nothing from anywhere else. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Registers /openapi.json and /docs. The document is made at the first request, when all routes are known. */
export function openReference(scope: FastifyInstance): void {
  const table = collectRoutes(scope);
  let document: string | undefined;
  scope.get('/openapi.json', (request, reply) => {
    document ??= JSON.stringify(describeApi(scope.declarations));
    return sendFile(request, reply, { body: document, type: 'application/json; charset=utf-8' });
  });
  scope.get('/docs', (_request, reply) =>
    reply.header('content-security-policy', POLICY).type('text/html; charset=utf-8').send(PAGE),
  );
  scope.get('/docs/start.js', (request, reply) =>
    sendFile(request, reply, { body: START, type: 'text/javascript; charset=utf-8' }),
  );
  for (const [path, type] of Object.entries(FILES))
    scope.get(path, async (request, reply) => {
      const body = await readFile(join(ASSETS, path.replace('/docs/', '')));
      return sendFile(request, reply, { body, type });
    });
  refuseOtherMethods(scope, table);
}

/** Nothing here is anybody's secret: browsers may keep it, and ask whether it is still the same. */
function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: { readonly body: string | Buffer; readonly type: string },
): FastifyReply {
  const etag = `"${createHash('sha256').update(file.body).digest('base64url')}"`;
  reply.headers({ etag, 'cache-control': 'no-cache' });
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return reply.type(file.type).send(file.body);
}
