/**
 * What does a patch make of an object? JSON merge patch (RFC 7396) and JSON patch (RFC 6902). Neither touches the
 * object that it is given.
 */
import { applyPatch, Pointer, type Operation } from 'rfc6902';
import { z } from 'zod';
import { parse } from '../edge.ts';
import { ApiError } from '../errors.ts';

export const MERGE_PATCH = 'application/merge-patch+json';
export const JSON_PATCH = 'application/json-patch+json';

/** Makes the new object of the present one. Throws ApiError `invalid` when the patch does not fit it. */
export type Patch = (current: unknown) => unknown;

/** As many as the API server takes. */
const MOST_OPERATIONS = 10_000;
/** A few copies of copies would otherwise fill the memory; the API server's limit. Bytes. */
const MOST_COPIED = 3 * 1024 * 1024;
/** What the library passes over in a path, against prototype pollution: the operation would hit another place. */
const SPECIAL_KEYS = ['__proto__', 'constructor', 'prototype'];

const pointer = z.string().max(4096);
const value = z.unknown().refine((given) => given !== undefined, 'is required');
const operationSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('add'), path: pointer, value }),
  z.object({ op: z.literal('remove'), path: pointer }),
  z.object({ op: z.literal('replace'), path: pointer, value }),
  z.object({ op: z.literal('move'), from: pointer, path: pointer }),
  z.object({ op: z.literal('copy'), from: pointer, path: pointer }),
  z.object({ op: z.literal('test'), path: pointer, value }),
]);

/** Reads the patch of a request. Throws ApiError `invalid_request` when it is none. */
export function readPatch(type: string | undefined, body: unknown): Patch {
  if (type === JSON_PATCH) {
    const operations = parse(z.array(z.unknown()).max(MOST_OPERATIONS), body, 'the patch').map(readOperation);
    return (current) => applyOperations(current, operations);
  }
  const patch = parse(z.record(z.string(), z.unknown()), body, 'the patch');
  return (current) => mergePatch(current, patch);
}

/** RFC 7396. Entries are defined, not assigned, so that no key has a meaning of its own. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), change));
  }
  return Object.fromEntries(merged);
}

function readOperation(input: unknown, index: number): Operation {
  const parsed = operationSchema.safeParse(input);
  if (!parsed.success) throw refused(index, 'it is not an operation of RFC 6902');
  const { data } = parsed;
  const paths = 'from' in data ? [data.path, data.from] : [data.path];
  const special = paths.flatMap((path) => path.split('/')).find((key) => SPECIAL_KEYS.includes(key));
  if (special !== undefined) throw refused(index, `"${special}" in a path is not taken: send a merge patch`);
  return data;
}

function applyOperations(current: unknown, operations: readonly Operation[]): unknown {
  const document = structuredClone(current);
  let copied = 0;
  for (const [index, operation] of operations.entries()) {
    if (operation.op === 'copy') copied += sizeOf(document, operation.from);
    if (copied > MOST_COPIED) throw refused(index, 'the patch copies too much');
    const problem = attempt(document, operation);
    if (problem !== undefined) throw refused(index, `${operation.op} "${operation.path}": ${problem}`);
  }
  return document;
}

function attempt(document: unknown, operation: Operation): string | undefined {
  try {
    const [error] = applyPatch(document, [operation]);
    if (error === null || error === undefined) return undefined;
    return error.name === 'TestError' ? 'the value is another one' : 'there is nothing at this path';
  } catch {
    return 'this is not a path';
  }
}

function sizeOf(document: unknown, path: string): number {
  if (!path.startsWith('/')) return 0;
  const copied: unknown = Pointer.fromJSON(path).get(document);
  return copied === undefined ? 0 : JSON.stringify(copied).length;
}

function refused(index: number, problem: string): ApiError {
  return new ApiError('invalid', `cannot apply operation ${index} of the JSON patch: ${problem}`, {
    issues: [{ path: 'patch', message: `operation ${index}: ${problem}` }],
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
