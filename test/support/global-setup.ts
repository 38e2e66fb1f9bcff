/**
 * Which PostgreSQL do the tests run against? One real server for the whole run: `TEST_DATABASE_URL`, or an
 * embedded one of our own in a folder that is removed afterwards. Tests clone the migrated template database.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import type { TestProject } from 'vitest/node';
import { systemClock } from '../../src/clock.ts';
import { startEmbeddedPostgres } from '../../src/database/embedded.ts';
import { migrate } from '../../src/database/migrations.ts';
import { findAssets, MISSING_ASSETS } from '../cluster/assets.ts';
import { hasContainers } from '../cluster/k3s.ts';
import { findRegistry, MISSING_REGISTRY } from '../registry/program.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's URL of the server for tests. */
    databaseAdminUrl: string;
    /** Has all migrations; nobody may be connected to it while it is cloned. */
    templateDatabase: string;
  }
}

const log = pino({ level: 'warn' }, pino.destination(2));

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServer();
  const template = `landlord_template_${process.pid}`;
  const url = new URL(server.url);
  url.pathname = template;
  await administer(server.url, `CREATE DATABASE ${template}`);
  await migrate({ url: url.href, log });
  project.provide('databaseAdminUrl', server.url);
  project.provide('templateDatabase', template);
  return async () => {
    await administer(server.url, `DROP DATABASE ${template}`);
    await server.stop();
    // Below the summary, where it is read: suites that were skipped do not tell why.
    if ((await findAssets()) === undefined && !(await hasContainers()))
      process.stderr.write(`\nNOT RUN: the suites on a Kubernetes API server: ${MISSING_ASSETS}\n`);
    if ((await findRegistry()) === undefined)
      process.stderr.write(`\nNOT RUN: the suites on a real registry: ${MISSING_REGISTRY}\n`);
  };
}

async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined) return { url: given, stop: () => Promise.resolve() };
  const stateDir = await mkdtemp(path.join(tmpdir(), 'landlord-test-'));
  await chmod(stateDir, 0o711);
  const server = await startEmbeddedPostgres({ stateDir, log, clock: systemClock, durable: false });
  return {
    url: server.url,
    async stop() {
      await server.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

async function administer(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
