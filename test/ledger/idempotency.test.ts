/** Is a request with a key served once, whoever repeats it when? On a real PostgreSQL. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createIdempotencyStore, type IdempotencyStore } from '../../src/ledger/idempotency.ts';
import type { LedgerTables } from '../../src/ledger/tables.ts';
import { createSealer } from '../../src/vault/seal.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

let database: TestDatabase;
let clock: FakeClock;
let store: IdempotencyStore;
let key: string;
let count = 0;
beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(() => {
  clock = createFakeClock();
  key = `key-${count++}`;
  store = createIdempotencyStore({
    db: database.database.db.withTables<LedgerTables>(),
    clock,
    sealer: createSealer([{ id: 'k1', key: Buffer.alloc(32, 1) }]),
  });
});
afterAll(() => database.drop());

const ask = (parts: { principal?: string; content?: string } = {}) =>
  store.claim({ principal: 'customer ctm_1', key, content: 'POST /restart', ...parts });
const answer = { status: 202, headers: { etag: '"7"' }, body: '{"password":"hunter2-hunter2"}' };

describe('the first request with a key', () => {
  it('runs, and its repetition gets its answer', async () => {
    const first = await ask();
    if (first.kind !== 'first') throw new Error(`was ${first.kind}`);
    await store.finish(first.ticket, answer);
    expect(await ask()).toEqual({ kind: 'answered', answer });
  });

  it('is one of many that come at once', async () => {
    const claims = await Promise.all(Array.from({ length: 20 }, () => ask()));
    expect(claims.filter(({ kind }) => kind === 'first')).toHaveLength(1);
    expect(claims.filter(({ kind }) => kind === 'in-flight')).toHaveLength(19);
  });

  it('leaves the key free when it came to nothing', async () => {
    const first = await ask();
    if (first.kind !== 'first') throw new Error(`was ${first.kind}`);
    await store.release(first.ticket);
    expect((await ask({ content: 'POST /other' })).kind).toBe('first');
  });

  it('that died holds the key up for minutes, and cannot answer after another has taken it', async () => {
    const dead = await ask();
    if (dead.kind !== 'first') throw new Error(`was ${dead.kind}`);
    clock.advanceSync(3 * 60_000 - 1);
    expect((await ask()).kind).toBe('in-flight');
    clock.advanceSync(1);
    const next = await ask();
    if (next.kind !== 'first') throw new Error(`was ${next.kind}`);
    await store.finish(dead.ticket, { ...answer, status: 200 });
    await store.release(dead.ticket);
    expect((await ask()).kind).toBe('in-flight');
    await store.finish(next.ticket, answer);
    expect(await ask()).toEqual({ kind: 'answered', answer });
  });
});

describe('a key', () => {
  it('means nothing for another caller', async () => {
    await ask();
    expect((await ask({ principal: 'customer ctm_2' })).kind).toBe('first');
  });

  it('is refused for another request, while the first is under way and after', async () => {
    const first = await ask();
    if (first.kind !== 'first') throw new Error(`was ${first.kind}`);
    expect((await ask({ content: 'POST /suspend' })).kind).toBe('mismatch');
    await store.finish(first.ticket, answer);
    expect((await ask({ content: 'POST /suspend' })).kind).toBe('mismatch');
  });

  it('is forgotten after a day', async () => {
    const first = await ask();
    if (first.kind !== 'first') throw new Error(`was ${first.kind}`);
    await store.finish(first.ticket, answer);
    clock.advanceSync(24 * 3_600_000);
    expect((await ask({ content: 'POST /suspend' })).kind).toBe('first');
  });
});

describe('what is stored', () => {
  it('shows neither the answer nor the key', async () => {
    const first = await ask();
    if (first.kind !== 'first') throw new Error(`was ${first.kind}`);
    await store.finish(first.ticket, answer);
    const rows = JSON.stringify(await database.query('SELECT * FROM idempotency_keys'));
    expect(rows).toContain('eyJ');
    expect(rows).not.toContain('hunter2');
    expect(rows).not.toContain(key);
  });
});
