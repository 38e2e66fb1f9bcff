import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createPostgresLeases, type PostgresLeases } from '../../src/leases/postgres.ts';
import { createTestDatabase, silentLog, type TestDatabase } from '../support/database.ts';
import { describeLeases } from './contract.ts';

let test: TestDatabase;
const opened: PostgresLeases[] = [];
const open = (): PostgresLeases => {
  const leases = createPostgresLeases({ url: test.url, clock: systemClock, log: silentLog() });
  opened.push(leases);
  return leases;
};
beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(async () => {
  await Promise.all(opened.map((leases) => leases.close()));
  await test.drop();
});

describeLeases('leases in PostgreSQL', async () => {
  await test.query('DELETE FROM leases');
  return { one: open(), two: open() };
});

describe('leases in a PostgreSQL that is out of reach', () => {
  it('say what could not be done, and why', async () => {
    const lost = createPostgresLeases({
      url: 'postgresql://nobody@127.0.0.1:1/none',
      clock: systemClock,
      log: silentLog(),
    });
    await expect(lost.list(AbortSignal.timeout(5_000))).rejects.toThrow(
      /^cannot list the leases: nothing listens there/,
    );
    await lost.close();
  });
});
