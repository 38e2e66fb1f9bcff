/**
 * Does the simulation see? A copy of the compiled product gets one defect at a time, and histories are lived with it
 * until one of them breaks an invariant: then the defect is found. One that is never found is a hole in the proof.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { Edit, Mutant } from './mutants.ts';

export interface MutationOptions {
  /** Folder of the project, where `src` is. */
  readonly root: string;
  /** Folder of the compiled project, as `tsconfig.prove.json` writes it. */
  readonly compiled: string;
  /** For the copies; made, and removed afterwards. */
  readonly scratch: string;
  /** Arguments of `prove` that look for a violation and stop at the first. */
  readonly hunt: readonly string[];
}

export interface Killed {
  readonly mutant: Mutant;
  /** The last line of the hunt; undefined: it found nothing. */
  readonly by: string | undefined;
}

/** All places of the defect. */
export function editsOf({ also = [], ...first }: Mutant): readonly Edit[] {
  return [first, ...also];
}

/** The source with the defect. Throws when the text to be replaced does not stand there exactly once. */
export function mutate(source: string, { file, find, replace }: Edit, name: string): string {
  const found = source.split(find).length - 1;
  if (found !== 1)
    throw new Error(`cannot apply mutant "${name}": its text stands ${found} times in ${file}`);
  return source.replace(find, () => replace);
}

/** Hunts one defect. Rejects when it cannot be applied. */
export async function hunt(mutant: Mutant, options: MutationOptions): Promise<Killed> {
  mkdirSync(options.scratch, { recursive: true });
  const copy = mkdtempSync(join(options.scratch, 'mutant-'));
  cpSync(options.compiled, copy, { recursive: true });
  for (const [file, source] of mutated(mutant, options.root))
    writeFileSync(join(copy, 'src', file.replace(/\.ts$/, '.js')), compile(source));
  const { output, code } = await run([join(copy, 'test/simulation/prove.js'), ...options.hunt]);
  rmSync(copy, { recursive: true, force: true });
  // Not even the loop may end by itself: a hunt that breaks down for another reason has found nothing.
  if (code !== 0 && code !== 1) throw new Error(`the hunt for "${mutant.name}" broke down: ${output}`);
  return { mutant, by: code === 1 ? output.trim().split('\n').at(-1) : undefined };
}

/** Every file that the defect changes, as it is with it. */
function mutated(mutant: Mutant, root: string): ReadonlyMap<string, string> {
  const sources = new Map<string, string>();
  for (const edit of editsOf(mutant)) {
    const source = sources.get(edit.file) ?? readFileSync(join(root, 'src', edit.file), 'utf8');
    sources.set(edit.file, mutate(source, edit, mutant.name));
  }
  return sources;
}

/** As `tsconfig.prove.json` compiles it. */
function compile(source: string): string {
  return ts.transpileModule(source, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  }).outputText;
}

function run(args: readonly string[]): Promise<{ output: string; code: number | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.on('error', reject);
    child.on('close', (code) => resolve({ output, code }));
  });
}
