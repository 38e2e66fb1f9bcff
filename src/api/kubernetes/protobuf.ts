/**
 * What does kubectl say in protobuf? One message, the question of `kubectl auth can-i`, in the envelope that Kubernetes
 * puts around every message: four bytes, then runtime.Unknown, whose second field holds the object. The numbers of
 * the fields are those of k8s.io/api/authorization/v1/generated.proto.
 */
import { PbfReader } from 'pbf';

const MAGIC = Buffer.from('k8s\0');
const RAW = 2;
const SPEC = 2;
const RESOURCE_ATTRIBUTES = 1;
const NON_RESOURCE_ATTRIBUTES = 2;
const RESOURCE_FIELDS = { 1: 'namespace', 2: 'verb', 3: 'group', 5: 'resource', 6: 'subresource', 7: 'name' };
const NON_RESOURCE_FIELDS = { 1: 'path', 2: 'verb' };

/** A SelfSubjectAccessReview with no more than the question in it. Throws when the bytes are none. */
export function readAccessReview(bytes: Buffer): unknown {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('the envelope is missing');
  const spec = within(within(bytes.subarray(MAGIC.length), RAW), SPEC);
  if (spec === undefined) throw new Error('the question is missing');
  const resource = within(spec, RESOURCE_ATTRIBUTES);
  const nonResource = within(spec, NON_RESOURCE_ATTRIBUTES);
  return {
    spec: {
      ...(resource && { resourceAttributes: texts(resource, RESOURCE_FIELDS) }),
      ...(nonResource && { nonResourceAttributes: texts(nonResource, NON_RESOURCE_FIELDS) }),
    },
  };
}

/** The message that is embedded in a field of another one. */
function within(message: Uint8Array | undefined, field: number): Uint8Array | undefined {
  const found: Uint8Array[] = [];
  new PbfReader(message ?? new Uint8Array()).readFields((tag, _none, reader) => {
    if (tag === field) found.push(reader.readBytes());
  }, undefined);
  return found[0];
}

/** The strings of a message by the names of their fields; what has no name here is passed over. */
function texts(message: Uint8Array, names: Readonly<Record<number, string>>): Record<string, string> {
  return new PbfReader(message).readFields<Record<string, string>>((tag, found, reader) => {
    const name = names[tag];
    if (name !== undefined) found[name] = reader.readString();
  }, {});
}
