/**
 * What happened, line by line? Every history is summed up in one hash, so that two runs can be compared; the lines
 * themselves are kept only when somebody wants to read them.
 */
import { EPOCH_MS } from './kernel.ts';

export interface Trace {
  add(line: string): void;
  /** Of all lines so far: 16 hexadecimal digits. */
  hash(): string;
  /** Oldest first; empty unless they are kept. */
  readonly lines: readonly string[];
}

export function createTrace(options: { readonly now: () => number; readonly keep: boolean }): Trace {
  const lines: string[] = [];
  let high = 0x811c9dc5;
  let low = 0x1b873593;
  return {
    lines,
    add(text) {
      const line = `${((options.now() - EPOCH_MS) / 1_000).toFixed(3).padStart(9)}s  ${text}`;
      // FNV-1a twice, from different beginnings: it only has to tell two runs apart, and it runs for every line.
      for (let index = 0; index < line.length; index += 1) {
        const code = line.charCodeAt(index);
        high = Math.imul(high ^ code, 0x01000193);
        low = Math.imul(low ^ code, 0x01000193) ^ (low >>> 15);
      }
      if (options.keep) lines.push(line);
    },
    hash: () => hex(high) + hex(low),
  };
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
