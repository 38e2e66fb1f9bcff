/**
 * How is the API told to machines? As an OpenAPI 3.1 document, made of the declarations that the routes themselves
 * are made of. The schemas are zod's own translation; only the frame around them is put together here.
 */
import { z } from 'zod';
import { isAboutTenant, type Declaration, type Untyped } from './declaration.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import { errorAnswer, problemAnswer } from './rest/answers.ts';

/** A piece of JSON Schema or OpenAPI: plain JSON. */
export type Json = Readonly<Record<string, unknown>>;

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>>; readonly securitySchemes: Json };
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly Json[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Readonly<Record<string, { readonly schema: Json }>>;
  };
  readonly responses: Readonly<Record<string, Response>>;
  /** Who may call; see the description of the document. */
  readonly 'x-access': Declaration['access'];
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Json;
}

interface Response {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: Json }>>;
}

const DESCRIPTION = `
Every request needs \`Authorization: Bearer <token>\`, but for those marked as public. \`x-access\` tells who may call:
\`caller\` is whoever has a token, \`owner\` the owner of the tenant (to everybody else it does not exist), \`owner-or-link\`
the owner or whoever brings the token of its credentials link, \`operator\` those who run this service. Errors have the shape \`Error\`, or \`Problem\` (RFC 9457) for whoever accepts
\`application/problem+json\`; their \`code\` is the same in both and never changes its meaning.`.trim();

/** What any request can meet, whatever its route. */
const ALWAYS: readonly ErrorCode[] = ['too_many_requests', 'internal', 'unavailable'];

/** The document of these routes. */
export function describeApi(declarations: readonly Declaration[]): OpenApiDocument {
  const schemas = createSchemas();
  const errors = {
    'application/json': { schema: schemas.of(errorAnswer, 'output') },
    'application/problem+json': { schema: schemas.of(problemAnswer, 'output') },
  };
  const paths: Record<string, Record<string, Operation>> = {};
  for (const declaration of declarations) {
    const path = declaration.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][declaration.method.toLowerCase()] = describe(declaration, schemas, errors);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Landlord', version: 'v1', description: DESCRIPTION },
    paths,
    components: {
      schemas: schemas.named,
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}

function describe(declaration: Declaration, schemas: Schemas, errors: Response['content']): Operation {
  const { method, path, access, summary, tag, body, otherBody, answers } = declaration;
  return {
    operationId: operationId(declaration),
    summary,
    tags: [tag],
    security: access === 'public' ? [] : [{ bearer: [] }],
    'x-access': access,
    parameters: [
      ...pathParameters(path, declaration.params, schemas),
      ...(declaration.query ? parametersOf(declaration.query, 'query', schemas) : []),
      ...headerParameters(declaration),
    ],
    ...(body && {
      requestBody: {
        required: !body.safeParse(undefined).success,
        content: { 'application/json': { schema: schemas.of(body, 'input') } },
      },
    }),
    ...(otherBody && {
      requestBody: {
        required: true,
        content: { [otherBody.contentType]: { schema: schemas.of(otherBody.schema, 'input') } },
      },
    }),
    responses: {
      ...failures(declaration, errors),
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [status, success(answer, schemas)]),
      ),
      ...(declaration.streams === true && { 200: withStream(answers[200], schemas) }),
      ...(declaration.versioned === true &&
        method === 'GET' && { 304: { description: 'Unchanged since If-None-Match.' } }),
    },
  };
}

/** `GET /api/v1/tenants/:id/status` is `getV1TenantsIdStatus`. */
function operationId({ method, path }: Declaration): string {
  const words = path.replace(/^\/api/, '').split(/[^a-zA-Z0-9]+/);
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

function pathParameters(path: string, params: z.ZodType | undefined, schemas: Schemas): Parameter[] {
  const described = params ? parametersOf(params, 'path', schemas) : [];
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  return names.map((name): Parameter => {
    const found = described.find((parameter) => parameter.name === name);
    const schema = found?.schema ?? (name === 'id' ? { type: 'string', format: 'uuid' } : { type: 'string' });
    return { ...found, name, in: 'path', required: true, schema };
  });
}

/** The properties of an object schema, as parameters. */
function parametersOf(schema: z.ZodType, where: 'path' | 'query', schemas: Schemas): Parameter[] {
  const object = objectSchema.parse(schemas.of(schema, 'input'));
  return Object.entries(object.properties).map(([name, { description, ...property }]) => ({
    name,
    in: where,
    required: object.required.includes(name),
    ...(typeof description === 'string' && { description }),
    schema: property,
  }));
}

const objectSchema = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

function headerParameters({ method, access, versioned = false }: Declaration): Parameter[] {
  const header = (name: string, description: string): Parameter => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  });
  return [
    ...(versioned && method === 'GET'
      ? [header('If-None-Match', 'ETag that the client has: 304 when it is still the one.')]
      : []),
    ...(versioned && method !== 'GET'
      ? [header('If-Match', 'ETag that the client has seen: 412 when it is no longer the one.')]
      : []),
    ...(method === 'POST' && access !== 'public'
      ? [
          header(
            'Idempotency-Key',
            'Repeating a request with the same key repeats its answer, not its effect.',
          ),
        ]
      : []),
  ];
}

function success(answer: z.ZodType | Untyped, schemas: Schemas): Response {
  if (answer instanceof z.ZodType)
    return {
      description: 'Success.',
      content: { 'application/json': { schema: schemas.of(answer, 'output') } },
    };
  const { description, contentType } = answer;
  return { description, ...(contentType !== undefined && { content: { [contentType]: { schema: {} } } }) };
}

/** Server-sent events, beside the answer to whoever does not ask for them. */
function withStream(answer: z.ZodType | Untyped | undefined, schemas: Schemas): Response {
  const { description, content } =
    answer === undefined ? { description: 'Server-sent events.' } : success(answer, schemas);
  return { description, content: { ...content, 'text/event-stream': { schema: {} } } };
}

function failures(declaration: Declaration, content: Response['content']): Record<string, Response> {
  const byStatus = new Map<number, string[]>();
  for (const code of errorsOf(declaration)) {
    const { status, title } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${code}\`: ${title}.`]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, sentences]) => [
      String(status),
      { description: sentences.join(' '), ...(content && { content }) },
    ]),
  );
}

/** Every code that a route can answer with. */
export function errorsOf(declaration: Declaration): ReadonlySet<ErrorCode> {
  const { method, access, query, body, otherBody, params, versioned, gated, hidden, streams, errors } =
    declaration;
  const more = (when: boolean, ...codes: ErrorCode[]): ErrorCode[] => (when ? codes : []);
  return new Set([
    ...more(true, 'invalid_request'),
    ...more(access !== 'public', 'unauthorized'),
    ...more(access === 'operator' && hidden !== true, 'forbidden'),
    ...more(isAboutTenant(access), 'tenant_not_found'),
    ...more(hidden === true, 'method_not_allowed'),
    ...more(streams === true, 'too_many_streams'),
    ...more(query !== undefined || params !== undefined, 'invalid_request'),
    ...more(body !== undefined || otherBody !== undefined, 'payload_too_large', 'unsupported_media_type'),
    ...more(versioned === true && method !== 'GET', 'precondition_failed'),
    ...more(gated === true, 'subscription_inactive'),
    ...more(method === 'POST' && access !== 'public', 'idempotency_in_flight', 'idempotency_mismatch'),
    ...(errors ?? []),
    ...ALWAYS,
  ]);
}

interface Schemas {
  /** JSON Schema of what goes in or comes out; what has an id is put aside and referred to. */
  of(schema: z.ZodType, io: 'input' | 'output'): Json;
  readonly named: Record<string, Json>;
}

function createSchemas(): Schemas {
  const named: Record<string, Json> = {};
  return {
    named,
    of(schema, io) {
      const text = JSON.stringify(z.toJSONSchema(schema, { io, unrepresentable: 'any' }));
      const {
        $schema: _dialect,
        $defs,
        ...rest
      } = rootSchema.parse(JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/')));
      for (const [id, definition] of Object.entries($defs ?? {})) named[id] = withoutId(definition);
      return withoutId(rest);
    },
  };
}

const rootSchema = z.looseObject({
  $schema: z.unknown(),
  $defs: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});

/** The id is the key under which it stands already; inside the schema it would be a base address. */
function withoutId({ id: _id, ...schema }: Json): Json {
  return schema;
}
