/**
 * Is an answer one that Fly's OpenAPI document allows? Every answer in the simulator's tests goes through here.
 * The document's schemas are closed first, so that a field that we made up is caught; and where Fly's
 * documentation and its real answers are known to differ from the document, the table below says so.
 */
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { z } from 'zod';

type Schema = Record<string, unknown>;

const excerpt = z
  .object({
    answers: z.record(z.string(), z.record(z.string(), z.record(z.string(), z.unknown()).nullable())),
    schemas: z.record(z.string(), z.record(z.string(), z.unknown())),
  })
  .parse(JSON.parse(readFileSync(new URL('../fly-openapi.excerpt.json', import.meta.url), 'utf8')));

function object(properties: Schema, required = Object.keys(properties)): Schema {
  return { type: 'object', properties, required, additionalProperties: false };
}

const text = { type: 'string' };
const done = object({ ok: { const: true } });
const lease = object({ status: { const: 'success' }, data: { $ref: '#/components/schemas/Lease' } });

/** Answers for which the document has no schema, or another one than the documentation and the official client. */
const documentedAnswers: Readonly<Record<string, Schema>> = {
  'Apps_create 201': object({ id: text, created_at: { type: 'integer' } }),
  'Machines_start 200': object({ previous_state: text, migrated: { type: 'boolean' }, new_host: text }),
  'Machines_delete 200': done,
  'Machines_stop 200': done,
  'Machines_suspend 200': done,
  'Machines_restart 200': done,
  'Machines_cordon 200': done,
  'Machines_uncordon 200': done,
  // The document has the bare lease; documentation and client have the envelope.
  'Machines_create_lease 201': lease,
  'Machines_show_lease 200': lease,
  'Machines_release_lease 200': object({ status: { const: 'success' }, data: done }),
};

const nullableText = { type: 'string', nullable: true };

/** Properties that are not as the document has them. */
const documentedProperties: Readonly<Record<string, Readonly<Record<string, Schema>>>> = {
  // Its own description says that answers still carry booleans for "off" and "stop".
  'fly.MachineService': { autostop: { anyOf: [{ type: 'boolean' }, { const: 'suspend' }] } },
  // Null when free, as all examples of the documentation have it.
  Volume: { attached_machine_id: nullableText, attached_alloc_id: nullableText },
  OrgVolume: { attached_machine_id: nullableText, attached_alloc_id: nullableText },
};

/** Objects with named properties take no others; everything in an answer is there on purpose. */
function closed(schema: Schema, name: string): Schema {
  if (schema.type !== 'object' || schema.properties === undefined) return schema;
  const properties = {
    ...z.record(z.string(), z.unknown()).parse(schema.properties),
    ...documentedProperties[name],
  };
  return { ...schema, properties, additionalProperties: false };
}

const ajv = new Ajv({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({
  $id: 'fly',
  components: {
    schemas: Object.fromEntries(
      Object.entries(excerpt.schemas).map(([name, schema]) => [name, closed(schema, name)]),
    ),
  },
});

const error: Schema = { allOf: [{ $ref: '#/components/schemas/ErrorResponse' }], required: ['error'] };

/** References into the document are given from its root. */
function rooted(schema: Schema): Schema {
  return z
    .record(z.string(), z.unknown())
    .parse(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"fly#/components')));
}

const compiled = new Map<string, ValidateFunction>();

/** The schema of an answer; null: it has no body. Throws when Fly has no such answer. */
function schemaOf(operation: string, status: number): Schema | null {
  const answers = excerpt.answers[operation];
  if (answers === undefined) throw new Error(`no operation "${operation}" in the OpenAPI document`);
  if (status >= 400) return error;
  const documented = documentedAnswers[`${operation} ${status}`];
  if (documented !== undefined) return documented;
  const schema = answers[String(status)];
  if (schema === undefined) throw new Error(`${operation} never answers ${status}`);
  return schema;
}

/** Throws when Fly would not answer so. `json` is undefined when there was no body. */
export function expectConformance(operation: string, status: number, json: unknown): void {
  const key = `${operation} ${status}`;
  const schema = schemaOf(operation, status);
  if (schema === null) {
    if (json !== undefined) throw new Error(`${key} has a body, but Fly sends none`);
    return;
  }
  const validate = compiled.get(key) ?? ajv.compile(rooted(schema));
  compiled.set(key, validate);
  if (!validate(json)) throw new Error(`${key} is not what Fly answers: ${ajv.errorsText(validate.errors)}`);
}

/** Whether the operation is one of the document's that the simulator claims to have. */
export function isInDocument(operation: string): boolean {
  return operation in excerpt.answers;
}
