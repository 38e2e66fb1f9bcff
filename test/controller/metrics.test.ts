import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createController } from '../../src/controller/controller.ts';
import { createInformer } from '../../src/controller/informer.ts';
import { createRuntimeMetrics } from '../../src/controller/metrics.ts';
import { TerminalError, TransientError, WaitingError } from '../../src/controller/outcome.ts';
import { captureLog } from '../support/captured-log.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createScriptedSource } from './scripted-source.ts';

/** The value of one series in what a scrape would answer, undefined when there is no such series. */
async function scrape(registry: Registry, series: string): Promise<number | undefined> {
  const line = (await registry.metrics()).split('\n').find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

function setUp(reconcile: (key: string) => Promise<object>) {
  const clock = createFakeClock();
  const registry = new Registry();
  const controller = createController({
    name: 'tenant',
    clock,
    log: captureLog().log,
    metrics: createRuntimeMetrics(registry),
    concurrency: 1,
    reconcile,
  });
  return { clock, registry, controller };
}

describe('the metrics of a controller', () => {
  it.each(['done', 'waiting', 'transient', 'terminal', 'bug'])('begin at zero: %s', async (outcome) => {
    const { registry } = setUp(async () => ({}));
    expect(await scrape(registry, `landlord_reconcile_total{controller="tenant",outcome="${outcome}"}`)).toBe(
      0,
    );
    expect(await scrape(registry, 'landlord_workqueue_retries_total{controller="tenant"}')).toBe(0);
    expect(await scrape(registry, 'landlord_reconcile_duration_seconds_count{controller="tenant"}')).toBe(0);
  });

  it('count passes by outcome, and retries', async () => {
    const errors: Record<string, Error> = {
      waiting: new WaitingError('R', 'm', { retryAfterMs: 1_000_000 }),
      transient: new TransientError('R', 'm'),
      terminal: new TerminalError('R', 'm'),
      bug: new TypeError('m'),
    };
    const { clock, registry, controller } = setUp(async (key) => {
      const error = errors[key];
      if (error) throw error;
      return {};
    });
    controller.start();
    for (const key of ['done', 'waiting', 'transient', 'terminal', 'bug']) controller.enqueue(key);
    await clock.advance(125);
    const total = (outcome: string) =>
      scrape(registry, `landlord_reconcile_total{controller="tenant",outcome="${outcome}"}`);
    expect(await Promise.all(['done', 'waiting', 'transient', 'terminal', 'bug'].map(total))).toEqual([
      1, 1, 2, 1, 1,
    ]);
    expect(await scrape(registry, 'landlord_workqueue_retries_total{controller="tenant"}')).toBe(1);
    await controller.stop({ deadlineMs: 0 });
  });

  it('show the queue and the passes in flight as they are at the scrape', async () => {
    let finish: (() => void) | undefined;
    const { clock, registry, controller } = setUp(
      () =>
        new Promise((resolve) => {
          finish = () => resolve({});
        }),
    );
    controller.start();
    controller.enqueue('a');
    await clock.settle();
    controller.enqueue('b');
    controller.enqueue('c', { afterMs: 60_000 });
    await clock.advance(2_500);
    expect(await scrape(registry, 'landlord_workqueue_depth{controller="tenant"}')).toBe(1);
    expect(await scrape(registry, 'landlord_workqueue_oldest_wait_seconds{controller="tenant"}')).toBe(2.5);
    expect(await scrape(registry, 'landlord_reconcile_active{controller="tenant"}')).toBe(1);
    finish?.();
    await clock.settle();
    expect(await scrape(registry, 'landlord_reconcile_duration_seconds_sum{controller="tenant"}')).toBe(2.5);
    expect(await scrape(registry, 'landlord_workqueue_wait_seconds_sum{controller="tenant"}')).toBe(2.5);
    finish?.();
    await clock.settle();
    await controller.stop({ deadlineMs: 0 });
  });

  it('are shared by controllers, which differ in the label', async () => {
    const registry = new Registry();
    const metrics = createRuntimeMetrics(registry);
    const clock = createFakeClock();
    for (const name of ['tenant', 'sweeper']) {
      createController({ name, clock, log: captureLog().log, metrics, reconcile: async () => ({}) }).enqueue(
        'a',
      );
    }
    expect(await scrape(registry, 'landlord_workqueue_depth{controller="tenant"}')).toBe(1);
    expect(await scrape(registry, 'landlord_workqueue_depth{controller="sweeper"}')).toBe(1);
  });
});

describe('the metrics of an informer', () => {
  it('tell whether it is synced and healthy, what it holds, and why it had to connect again', async () => {
    const clock = createFakeClock();
    const registry = new Registry();
    const source = createScriptedSource<{ name: string }>();
    const informer = createInformer({
      name: 'tenants',
      source,
      identify: ({ name }) => ({ key: name, uid: name, resourceVersion: '1' }),
      isGone: () => true,
      silentMs: 60_000,
      clock,
      log: captureLog().log,
      metrics: createRuntimeMetrics(registry),
    });
    const gauges = async () => [
      await scrape(registry, 'landlord_informer_synced{informer="tenants"}'),
      await scrape(registry, 'landlord_informer_healthy{informer="tenants"}'),
      await scrape(registry, 'landlord_informer_objects{informer="tenants"}'),
    ];
    const restarts = (cause: string) =>
      scrape(registry, `landlord_informer_restarts_total{informer="tenants",cause="${cause}"}`);
    expect(await gauges()).toEqual([0, 0, 0]);
    expect(await Promise.all(['ended', 'gone', 'silent', 'error'].map(restarts))).toEqual([0, 0, 0, 0]);

    informer.start();
    source.lists[0]!.answer({ items: [{ name: 'a' }], resourceVersion: '1' });
    await clock.settle();
    expect(await gauges()).toEqual([1, 0, 1]);
    source.watches[0]!.send({ type: 'BOOKMARK', resourceVersion: '2' });
    await clock.settle();
    expect(await gauges()).toEqual([1, 1, 1]);
    source.watches[0]!.fail(new Error('too old'));
    await clock.settle();
    expect(await gauges()).toEqual([1, 0, 1]);
    expect(await Promise.all(['ended', 'gone', 'silent', 'error'].map(restarts))).toEqual([0, 1, 0, 0]);
    await informer.stop();
  });
});
