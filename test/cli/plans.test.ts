/** Is what an operator's file says what people can buy? On a real database, by the command itself. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { COMMAND_TIMEOUT_MS, landlord } from './command.ts';

const PLAN = {
  id: 'basic',
  name: 'Basic',
  memoryMb: 512,
  volumeGb: 3,
  prices: [
    { id: 'pri_basic_usd', amount: 1900, currency: 'USD', interval: 'month' },
    { id: 'pri_basic_jpy', amount: 3000, currency: 'JPY', interval: 'month' },
  ],
  grace: { pastDueDays: 7, pausedDays: 0, canceledDays: 0 },
};

describe('landlord plans', { timeout: COMMAND_TIMEOUT_MS }, () => {
  let database: TestDatabase;
  let folder: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'landlord-plans-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await database.drop();
  });

  it('offers what the file says, shows it, and changes nothing when the file is wrong', async () => {
    const env = { DATABASE_URL: database.url };
    const shown = 'basic\tBasic\t512 MB\t3 GB\t$19.00 a month, ¥3,000 a month\n';
    expect((await landlord(['plans', 'list'], env)).out).toContain('nothing is on offer');
    const good = join(folder, 'good.yaml');
    // JSON is YAML.
    await writeFile(good, JSON.stringify({ plans: [PLAN] }));
    expect(await landlord(['plans', 'apply', good], env)).toEqual({ code: 0, out: shown, err: '' });
    const bad = join(folder, 'bad.yaml');
    await writeFile(bad, JSON.stringify({ plans: [{ ...PLAN, memoryMb: 300 }] }));
    const refused = await landlord(['plans', 'apply', bad], env);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('plans.0.memoryMb');
    expect((await landlord(['plans', 'list'], env)).out).toBe(shown);
  });

  it('needs the environment of the daemon and a file', async () => {
    expect((await landlord(['plans', 'list'], {})).err).toContain('DATABASE_URL');
    expect((await landlord(['plans', 'apply'], {})).code).toBe(2);
  });
});
