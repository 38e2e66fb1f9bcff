/**
 * What is measured of a tenant, and how is Fly's Prometheus asked for it? One table. Each query sums over the app, so
 * that it has one value at a time. The names of Fly's series: https://fly.io/docs/monitoring/metrics/#fly-io-metrics
 */
import { VOLUME_PATH } from '../../tenant/names.ts';

/** How far back a rate looks: four scrapes, so that one that is missing does not make a gap. */
const WINDOW = '[1m]';

interface MetricQuery {
  readonly unit: 'percent' | 'bytes' | 'bytes_per_second' | 'per_second' | 'load' | 'machines';
  /** `app` is a DNS label: it needs no quoting. */
  readonly promql: (app: string) => string;
}

export const METRICS = {
  /** Of one processor; two of them at work are 200. Fly counts in hundredths of a second. */
  cpu_percent: {
    unit: 'percent',
    promql: (app) => `sum(rate(fly_instance_cpu{app="${app}",mode!="idle"}${WINDOW}))`,
  },
  load_average: {
    unit: 'load',
    promql: (app) => `avg(fly_instance_load_average{app="${app}",minutes="1"})`,
  },
  memory_used_bytes: {
    unit: 'bytes',
    promql: (app) =>
      `sum(fly_instance_memory_mem_total{app="${app}"} - fly_instance_memory_mem_available{app="${app}"})`,
  },
  memory_total_bytes: {
    unit: 'bytes',
    promql: (app) => `sum(fly_instance_memory_mem_total{app="${app}"})`,
  },
  disk_used_bytes: {
    unit: 'bytes',
    promql: (app) =>
      `sum((${blocks('fly_instance_filesystem_blocks', app)} - ${blocks('fly_instance_filesystem_blocks_free', app)}) * ${blocks('fly_instance_filesystem_block_size', app)})`,
  },
  disk_total_bytes: {
    unit: 'bytes',
    promql: (app) => `sum(fly_volume_size_bytes{app="${app}"})`,
  },
  network_received_bytes_per_second: {
    unit: 'bytes_per_second',
    promql: (app) => `sum(rate(fly_instance_net_recv_bytes{app="${app}",device="eth0"}${WINDOW}))`,
  },
  network_sent_bytes_per_second: {
    unit: 'bytes_per_second',
    promql: (app) => `sum(rate(fly_instance_net_sent_bytes{app="${app}",device="eth0"}${WINDOW}))`,
  },
  http_responses_per_second: {
    unit: 'per_second',
    promql: (app) => `sum(rate(fly_edge_http_responses_count{app="${app}"}${WINDOW}))`,
  },
  http_server_errors_per_second: {
    unit: 'per_second',
    promql: (app) => `sum(rate(fly_edge_http_responses_count{app="${app}",status=~"5.."}${WINDOW}))`,
  },
  machines_up: {
    unit: 'machines',
    promql: (app) => `sum(fly_instance_up{app="${app}"})`,
  },
} as const satisfies Record<string, MetricQuery>;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]];

/** A series of the file system on the data volume. */
function blocks(series: string, app: string): string {
  return `${series}{app="${app}",mount="${VOLUME_PATH}"}`;
}
