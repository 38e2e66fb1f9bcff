import { describe, expect, it } from 'vitest';
import { parsePromql } from '../../src/simulator/promql.ts';
import { createTenant, createVirtualFly } from './support/virtual-fly.ts';

function query(fly: ReturnType<typeof createVirtualFly>, promql: string) {
  return fly.call('GET', `/prometheus/systemprompt/api/v1/query?query=${encodeURIComponent(promql)}`);
}

describe('logs', () => {
  it('tell what happened to a machine, oldest first', () => {
    const fly = createVirtualFly();
    const { app, base, machine } = createTenant(fly);
    fly.call('POST', `${base}/stop`);
    fly.pass(1);
    const { data } = fly.call('GET', `/api/v1/apps/${app}/logs`).json;
    expect(data.map(({ attributes }: { attributes: { message: string } }) => attributes.message)).toEqual([
      'Machine started in 0.00s',
      'Machine stopped',
    ]);
    expect(data[0].attributes).toMatchObject({
      instance: machine,
      region: 'iad',
      level: 'info',
      meta: { event: { provider: 'runner' } },
    });
  });

  it('go on after a token without losing a line', () => {
    const fly = createVirtualFly();
    fly.call('POST', '/v1/apps', { name: 'one', org_slug: 'o' });
    const say = (message: string) => fly.control('POST', '/logs', { app: 'one', message });
    const seen = new Map<string, string>();
    let token = '';
    const poll = (): void => {
      const { data, meta } = fly.call('GET', `/api/v1/apps/one/logs?next_token=${token}`).json;
      for (const { id, attributes } of data) seen.set(id, attributes.message);
      token = String(meta.next_token);
    };
    say('a');
    poll();
    for (let line = 0; line < 250; line++) say(`b${line}`);
    fly.pass(5);
    say('c');
    for (let page = 0; page < 4; page++) poll();
    expect([...seen.values()]).toEqual(['a', ...Array.from({ length: 250 }, (_, line) => `b${line}`), 'c']);
  });

  it('answer the latest hundred lines without a token, and only of the machine that is asked for', () => {
    const fly = createVirtualFly();
    const { app, machine } = createTenant(fly);
    for (let line = 0; line < 120; line++)
      fly.control('POST', '/logs', { app, message: String(line), ...(line % 2 === 0 && { machine }) });
    const messages = (parameters: string): string[] =>
      fly
        .call('GET', `/api/v1/apps/${app}/logs?${parameters}`)
        .json.data.map(({ attributes }: { attributes: { message: string } }) => attributes.message);
    expect(messages('')).toHaveLength(100);
    expect(messages('').at(-1)).toBe('119');
    expect(messages(`instance=${machine}`).at(-1)).toBe('118');
    expect(fly.call('GET', `/api/v1/apps/${app}/logs?next_token=soon`).status).toBe(400);
    expect(fly.call('GET', '/api/v1/apps/nobody/logs').status).toBe(404);
  });
});

describe('metrics', () => {
  it('are there for a machine that runs, with Fly’s labels, and not for one that sleeps', () => {
    const fly = createVirtualFly();
    const { app, base, machine } = createTenant(fly);
    const { result } = query(fly, `fly_instance_memory_mem_total{app="${app}"}`).json.data;
    expect(result).toEqual([
      {
        metric: {
          __name__: 'fly_instance_memory_mem_total',
          app,
          region: 'iad',
          host: expect.any(String),
          instance: machine,
        },
        value: [fly.now() / 1000, String(Math.round(512 * 1024 ** 2 * 0.95))],
      },
    ]);
    fly.call('POST', `${base}/suspend`);
    fly.pass(1000);
    expect(query(fly, `fly_instance_memory_mem_total{app="${app}"}`).json.data.result).toEqual([]);
  });

  it('add up: the modes of a processor take all of its time', () => {
    const fly = createVirtualFly();
    const { app } = createTenant(fly);
    fly.pass(600_000);
    const { result } = query(fly, `sum by (instance) (rate(fly_instance_cpu{app="${app}"}[5m])) / 100`).json
      .data;
    expect(Number(result[0].value[1])).toBeCloseTo(1, 6);
    const busy = query(fly, `100 * (1 - avg(rate(fly_instance_cpu{app="${app}",mode="idle"}[5m])) / 100)`)
      .json.data.result;
    expect(Number(busy[0].value[1])).toBeCloseTo(4.2, 6);
  });

  it('can be calculated with, series by series', () => {
    const fly = createVirtualFly();
    const { app } = createTenant(fly);
    const used = `fly_instance_memory_mem_total{app="${app}"} - fly_instance_memory_mem_available{app="${app}"}`;
    const [{ metric, value }] = query(fly, used).json.data.result;
    expect(metric).not.toHaveProperty('__name__');
    expect(Number(value[1])).toBeGreaterThan(0);
    expect(query(fly, '1 + 2 * 3').json.data).toMatchObject({
      resultType: 'scalar',
      result: [fly.now() / 1000, '7'],
    });
  });

  it('select by every kind of matcher', () => {
    const fly = createVirtualFly();
    for (const app of ['one', 'two', 'three']) createTenant(fly, { app });
    const apps = (matcher: string): unknown =>
      query(fly, `fly_instance_up{${matcher}}`).json.data.result.map(
        ({ metric }: { metric: { app: string } }) => metric.app,
      );
    expect(apps('app="one"')).toEqual(['one']);
    expect(apps('app!="one"')).toEqual(['two', 'three']);
    expect(apps('app=~"t.*"')).toEqual(['two', 'three']);
    expect(apps("app!~'t.*'")).toEqual(['one']);
    expect(query(fly, 'count(fly_instance_up)').json.data.result[0].value[1]).toBe('3');
    expect(query(fly, 'fly_instance_up{app=~"("}').status).toBe(400);
  });

  it('come as a range that begins when the machine did and ends with now', () => {
    const fly = createVirtualFly();
    const from = fly.now();
    const { app } = createTenant(fly);
    fly.pass(60_000);
    const parameters = new URLSearchParams({
      query: `fly_instance_up{app="${app}"}`,
      start: String(from / 1000 - 60),
      end: String(fly.now() / 1000 + 60),
      step: '15s',
    });
    const { data } = fly.call(
      'GET',
      `/prometheus/systemprompt/api/v1/query_range?${parameters.toString()}`,
    ).json;
    expect(data.resultType).toBe('matrix');
    expect(data.result).toHaveLength(1);
    const times = data.result[0].values.map(([at]: [number, string]) => at * 1000);
    expect(times.length).toBeGreaterThan(3);
    expect(times.every((at: number) => at >= from && at <= fly.now())).toBe(true);
    const posted = fly.call('POST', '/prometheus/systemprompt/api/v1/query_range', parameters.toString()).json
      .data;
    expect(posted).toEqual(data);
  });

  it('of another organisation are not shown', () => {
    const fly = createVirtualFly();
    createTenant(fly);
    expect(fly.call('GET', '/prometheus/others/api/v1/query?query=fly_instance_up').json.data.result).toEqual(
      [],
    );
  });

  it.each([
    ['histogram_quantile(0.9, fly_edge)', 'function histogram_quantile'],
    ['fly_instance_up[5m]', 'at "[5m]"'],
    ['fly_instance_up offset 5m', 'at "5m"'],
    ['sum(1)', 'aggregation of a scalar'],
    ['rate(fly_instance_cpu[soon])', 'window [soon]'],
    ['fly_instance_up{', 'at "the end"'],
    ['', 'at "the end"'],
  ])('refuse "%s" by name', (promql, cause) => {
    const { status, json } = query(createVirtualFly(), promql);
    expect({ status, error: json.error }).toEqual({
      status: 501,
      error: expect.stringContaining(`not simulated: PromQL ${cause}`),
    });
  });

  it.each([['step=0'], ['step=15s&start=10&end=5'], ['step=0.001']])(
    'refuse a range with %s',
    (parameters) => {
      const path = `/prometheus/o/api/v1/query_range?query=up&${parameters.includes('start') ? '' : 'start=0&end=100&'}${parameters}`;
      expect(createVirtualFly().call('GET', path).status).toBe(400);
    },
  );

  it('bind products before sums', () => {
    expect(parsePromql('1 - 2 * 3 - 4')).toMatchObject({
      operator: '-',
      left: { operator: '-', left: { value: 1 }, right: { operator: '*' } },
      right: { value: 4 },
    });
  });
});
