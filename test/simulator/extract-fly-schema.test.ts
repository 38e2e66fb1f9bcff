import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

function check(document: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'scripts/extract-fly-schema.ts', '--check'],
    { env: { ...process.env, FLY_OPENAPI_DOCUMENT: document }, encoding: 'utf8' },
  );
  return { status, output: stdout + stderr };
}

describe('the excerpt of Fly’s document', () => {
  it('is not checked without the document, and says so', () => {
    expect(check('/nowhere/fly.json')).toEqual({
      status: 0,
      output: 'FLY_OPENAPI_DOCUMENT: not at hand, so the excerpt of it is not checked\n',
    });
  });

  it('is stale when the document has changed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fly-document-'));
    const document = join(folder, 'fly.json');
    writeFileSync(
      document,
      JSON.stringify({ paths: {}, components: { schemas: { ErrorResponse: { type: 'object' } } } }),
    );
    const { status, output } = check(document);
    rmSync(folder, { recursive: true });
    expect(status).toBe(1);
    expect(output).toContain('src/simulator/openapi-operations.ts is stale');
    expect(output).toContain('test/simulator/fly-openapi.excerpt.json is stale');
  });
});
