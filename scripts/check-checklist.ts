/**
 * Does every test that docs/checklist.md and docs/incidents.md name exist, and is no row missing? Fails with a line for
 * each that is wrong. A case is found by its literal name in the file: renaming a test without its row fails here.
 */
import { readFile } from 'node:fs/promises';

const ROOT = new URL('../', import.meta.url);
/** The first column names the row, the last two its test. */
const ROW = /^\| ([A-Z][0-9]+[a-z]?) \| .+ \| (?:`([^`]+)`|—) \| (.+?) \|$/;

type Range = readonly [letter: string, first: number, last: number];

/** Rows that must be there, by letter: from the first to the last number. */
const REQUIRED: Readonly<Record<string, readonly Range[]>> = {
  'docs/checklist.md': [
    ['A', 1, 146],
    ['D', 1, 31],
    ['E', 64, 84],
  ],
  'docs/incidents.md': [
    ['K', 1, 13],
    ['F', 1, 46],
  ],
};

interface Row {
  readonly id: string;
  readonly file: string | undefined;
  /** Name of the case, or why there is none. */
  readonly text: string;
}

for (const [document, required] of Object.entries(REQUIRED)) {
  const rows = parseRows(await readFile(new URL(document, ROOT), 'utf8'));
  const problems = [...missingRows(rows, required), ...repeatedRows(rows), ...(await missingTests(rows))];
  for (const problem of problems) process.stderr.write(`${document}: ${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
}

function parseRows(text: string): Row[] {
  return text.split('\n').flatMap((line) => {
    const [, id, file, rest] = ROW.exec(line) ?? [];
    return id === undefined || rest === undefined ? [] : [{ id, file, text: rest }];
  });
}

function missingRows(found: readonly Row[], required: readonly Range[]): string[] {
  const ids = new Set(found.map(({ id }) => id));
  return required
    .flatMap(([letter, first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => `${letter}${first + index}`),
    )
    .filter((id) => !ids.has(id))
    .map((id) => `row ${id} is missing or not understood`);
}

function repeatedRows(found: readonly Row[]): string[] {
  const ids = found.map(({ id }) => id);
  return ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `row ${id} is there twice`);
}

async function missingTests(found: readonly Row[]): Promise<string[]> {
  const texts = new Map<string, string | undefined>();
  for (const { file } of found)
    if (file !== undefined && !texts.has(file))
      texts.set(file, await readFile(new URL(file, ROOT), 'utf8').catch(() => undefined));
  return found.flatMap(({ id, file, text }) => {
    if (file === undefined) return [];
    const source = texts.get(file);
    if (source === undefined) return [`row ${id}: there is no file ${file}`];
    const named = [`'${text}'`, `"${text}"`, `\`${text}\``].some((literal) => source.includes(literal));
    return named ? [] : [`row ${id}: ${file} has no case "${text}"`];
  });
}
