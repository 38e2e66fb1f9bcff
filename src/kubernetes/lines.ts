/** How does a stream of bytes become lines? Each as soon as it is complete, bounded, and never half of one. */
import { disconnection, KubernetesError } from './errors.ts';

/** No object in etcd is larger than 1.5 MiB; JSON may escape what it holds. */
const LONGEST_LINE_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Throws KubernetesError when the stream breaks, also in the middle of a line. */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string, void> {
  let begun: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      let rest = chunk;
      for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
        yield Buffer.concat([...begun, rest.subarray(0, end)]).toString('utf8');
        rest = rest.subarray(end + 1);
        begun = [];
        bytes = 0;
      }
      bytes += rest.length;
      if (bytes > LONGEST_LINE_BYTES)
        throw new KubernetesError(`a line is longer than ${LONGEST_LINE_BYTES} bytes`, { kind: 'rejected' });
      if (rest.length > 0) begun.push(rest);
    }
  } catch (error) {
    throw error instanceof KubernetesError ? error : disconnection(error);
  }
  if (begun.length > 0) throw disconnection(undefined);
}
