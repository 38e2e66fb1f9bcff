/**
 * How long does a tenant take from nothing to Ready, and what does it cost? Tenants are created over HTTP on a
 * daemon and a simulator that run as processes of their own, with the simulator's realistic latencies. The figure
 * to look at is the ratio of create-to-Ready to the critical path: the latencies that Fly itself would impose on
 * one tenant, added up along the longest chain of what needs what.
 *
 * Each `--rate` is a run of its own: arrivals a second, or with 0 all at once (`npm run bench -- --help`). A steady rate measures the loop. All
 * at once measures the machine: each tenant gets a PostgreSQL database of its own, which costs the server some 50 ms
 * of a processor, and on few cores the tenants queue for that.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import { findCondition } from '../src/tenant/conditions.ts';
import type { Tenant } from '../src/tenant/schema.ts';
import {
  callsOf,
  createOperator,
  seedImage,
  worldOf,
  type Operator,
  type SimulatedCall,
} from '../test/support/operator.ts';
import { wholeNumber } from '../test/support/options.ts';
import { startDaemon, startSimulator } from '../test/support/processes.ts';

const options = new Command('bench')
  .description('how long does a tenant take from nothing to Ready, and what does it cost?')
  .option('--tenants <n>', 'how many tenants', wholeNumber(1), 200)
  .option(
    '--rate <n...>',
    'arrivals a second, or 0 for all at once; each is a run of its own (default: 5, then 0)',
    (text, before: readonly number[] | undefined) => [...(before ?? []), wholeNumber(0)(text)],
  )
  .option('--seed <n>', 'of the simulated Fly', wholeNumber(0), 1)
  .parse()
  .opts<{ readonly tenants: number; readonly rate?: readonly number[]; readonly seed: number }>();
const TENANTS = options.tenants;
/** Nothing takes as long as this unless something is wrong. */
const GIVE_UP_MS = 600_000;

interface Times {
  readonly createdAt: number;
  readyAt?: number;
  uid?: string;
}

async function createAll(operator: Operator, times: Map<string, Times>, rate: number): Promise<void> {
  const begun = performance.now();
  const creations: Promise<void>[] = [];
  for (let index = 0; index < TENANTS; index += 1) {
    if (rate > 0) await delay(Math.max(0, begun + (index * 1_000) / rate - performance.now()));
    creations.push(createOne(operator, times, `tenant-${index}`));
  }
  await Promise.all(creations);
}

async function createOne(operator: Operator, times: Map<string, Times>, name: string): Promise<void> {
  times.set(name, { createdAt: performance.now() });
  const { status, body } = await operator.create(name, {
    owner: 'ctm_bench',
    region: 'iad',
    image: 'registry.fly.io/systemprompt-images:bench',
  });
  if (status !== 201) throw new Error(`cannot create tenant "${name}": ${status} ${JSON.stringify(body)}`);
}

/** Resolves once every tenant was seen Ready. */
async function watchAll(operator: Operator, times: Map<string, Times>): Promise<void> {
  const stop = AbortSignal.timeout(GIVE_UP_MS);
  let ready = 0;
  for await (const { object } of operator.watch(stop)) {
    const seen = times.get(object.metadata.name);
    if (seen === undefined || seen.readyAt !== undefined || !isReady(object)) continue;
    seen.readyAt = performance.now();
    seen.uid = object.metadata.uid;
    ready += 1;
    if (ready === TENANTS) return;
  }
  throw new Error(`only ${ready} of ${TENANTS} tenants became Ready`);
}

function isReady({ metadata, status }: Tenant): boolean {
  const condition = findCondition(status?.conditions, 'Ready');
  return condition?.status === 'True' && condition.observedGeneration === metadata.generation;
}

/** Fly's own time for one tenant: app, then the slowest of what needs it, then the machine and its boot. */
function criticalPathMs(calls: readonly SimulatedCall[], bootMs: number): number {
  const slowest = (...operations: string[]): number =>
    Math.max(
      0,
      ...calls.filter(({ operation }) => operations.includes(operation)).map(({ latencyMs }) => latencyMs),
    );
  return (
    slowest('Apps_create') +
    slowest('App_IPAssignments_create', 'Volumes_create', 'Secrets_update') +
    slowest('Machines_create') +
    bootMs
  );
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Processor seconds and highest memory of a process, from Linux's own books; NaN elsewhere. */
async function costOf(pid: number): Promise<{ cpuSeconds: number; peakRssMb: number }> {
  const [stat, status] = await Promise.all(
    ['stat', 'status'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
  );
  const fields = (stat ?? '').slice((stat ?? '').lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const peakKb = Number(/VmHWM:\s+(\d+)/.exec(status ?? '')?.[1]);
  return { cpuSeconds: ticks / 100, peakRssMb: peakKb / 1024 };
}

const round = (value: number, digits = 0): number => Number(value.toFixed(digits));

async function measure(stateDir: string, rate: number): Promise<Record<string, number>> {
  const simulator = await startSimulator({ env: { SIMULATOR_SEED: String(options.seed) } });
  await seedImage(simulator.url, 'systemprompt-images', 'bench');
  const daemon = await startDaemon({ stateDir, simulatorUrl: simulator.url, env: { LOG_LEVEL: 'warn' } });
  try {
    const operator = createOperator(
      () => daemon.url,
      () => daemon.credentials.operator_token,
    );
    const idle = await costOf(daemon.pid);
    const times = new Map<string, Times>();
    const watching = watchAll(operator, times);
    const begun = performance.now();
    await Promise.all([createAll(operator, times, rate), watching]);
    const wallMs = performance.now() - begun;
    const cost = await costOf(daemon.pid);
    const [calls, world] = await Promise.all([callsOf(simulator.url), worldOf(simulator.url)]);
    const paths: number[] = [];
    const took: number[] = [];
    for (const { createdAt, readyAt, uid } of times.values()) {
      const app = `sp-${uid ?? ''}`;
      const transitions = world.apps[app]?.machines[0]?.transitions ?? [];
      const bootMs = transitions.reduce((sum, { ms }) => sum + ms, 0);
      paths.push(
        criticalPathMs(
          calls.filter((item) => item.app === app),
          bootMs,
        ),
      );
      took.push((readyAt ?? Number.NaN) - createdAt);
    }
    took.sort((a, b) => a - b);
    paths.sort((a, b) => a - b);
    const critical = percentile(paths, 0.5);
    const ofTenants = calls.filter(({ app }) => app?.startsWith('sp-') === true);
    const reads = ofTenants.filter(({ method }) => method === 'GET' || method === 'HEAD').length;
    return {
      tenants: TENANTS,
      arrivalsPerSecond: rate,
      wallSeconds: round(wallMs / 1_000, 1),
      criticalPathMs: round(critical),
      criticalPathP99Ms: round(percentile(paths, 0.99)),
      readyP50Ms: round(percentile(took, 0.5)),
      readyP99Ms: round(percentile(took, 0.99)),
      ratioP50: round(percentile(took, 0.5) / critical, 2),
      ratioP99: round(percentile(took, 0.99) / critical, 2),
      daemonCpuSeconds: round(cost.cpuSeconds - idle.cpuSeconds, 1),
      daemonPeakRssMb: round(cost.peakRssMb),
      flyReadsPerTenant: round(reads / TENANTS, 1),
      flyWritesPerTenant: round((ofTenants.length - reads) / TENANTS, 2),
      rateLimited: calls.filter(({ status }) => status === 429).length,
    };
  } finally {
    await daemon.stop();
    await simulator.stop();
  }
}

function print(figures: Record<string, number>): void {
  const pace =
    figures['arrivalsPerSecond'] === 0 ? 'all at once' : `${figures['arrivalsPerSecond']} a second`;
  process.stdout.write(`${JSON.stringify({ bench: 'converge', ...figures })}\n`);
  process.stdout.write(
    [
      `${figures['tenants']} tenants, ${pace}: ${figures['wallSeconds']} s wall`,
      `create to Ready: p50 ${figures['readyP50Ms']} ms, p99 ${figures['readyP99Ms']} ms`,
      `Fly's own critical path for one tenant: ${figures['criticalPathMs']} ms (p50)`,
      `ratio to it: p50 ${figures['ratioP50']} (reach 1.3), p99 ${figures['ratioP99']} (reach 2)`,
      `daemon: ${figures['daemonCpuSeconds']} CPU s, peak ${figures['daemonPeakRssMb']} MB RSS (reach 250)`,
      `Fly: ${figures['flyReadsPerTenant']} reads and ${figures['flyWritesPerTenant']} writes a tenant, ${figures['rateLimited']} answers 429 (reach 0)`,
      '',
      '',
    ].join('\n'),
  );
}

for (const rate of options.rate ?? [5, 0]) {
  const stateDir = await mkdtemp(join(tmpdir(), 'landlord-bench-'));
  try {
    print(await measure(stateDir, rate));
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}
