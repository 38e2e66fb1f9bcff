/**
 * What does Fly measure of machines and volumes? Series with Fly's names and labels, computed from what the world
 * remembers of each machine's runs: the same question about the same time always has the same answer.
 */
import type { Moment } from './moment.ts';
import type { AppRecord, MachineRecord } from './state.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const MB = 1024 ** 2;
const BLOCK_BYTES = 4096;
const ROOT_FS_BYTES = 8 * 1024 * MB;

/** Fly scrapes every 15 seconds, so nothing changes more often. */
const SCRAPE_MS = 15_000;

/** Milliseconds that the machine had run by `at`, counting the runs that it remembers. */
function ranMs(machine: MachineRecord, at: number): number {
  return machine.runs.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to ?? at, at) - from), 0);
}

function runsAt(machine: MachineRecord, at: number): boolean {
  return machine.runs.some(({ from, to }) => from <= at && (to === null || to > at));
}

/** In [0, 1), steady for one scrape, different from machine to machine and scrape to scrape. */
function wobble(machine: MachineRecord, at: number): number {
  let mixed = Math.floor(at / SCRAPE_MS) | 0;
  for (let index = 0; index < machine.id.length; index++)
    mixed = Math.imul(mixed ^ machine.id.charCodeAt(index), 0x01000193);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 4_294_967_296;
}

interface Measured {
  readonly machine: MachineRecord;
  readonly at: number;
  readonly seconds: number;
}

type Row = readonly [labels: Record<string, string>, value: number];

/** Share of the time that each mode of a processor takes. */
const CPU_SHARE = { user: 0.03, system: 0.01, iowait: 0.002, idle: 0.958 };

function cpuRows({ machine, seconds }: Measured): Row[] {
  const { cpus } = machine.face.config.guest;
  return Array.from({ length: cpus }, (_, cpu) => cpu).flatMap((cpu) =>
    Object.entries(CPU_SHARE).map(([mode, share]): Row => [
      { cpu_id: String(cpu), mode },
      seconds * 100 * share,
    ]),
  );
}

function memory({ machine, at }: Measured, share: number): Row[] {
  const total = machine.face.config.guest.memory_mb * MB * 0.95;
  return [[{}, Math.round(total * (share === 1 ? 1 : share + 0.1 * wobble(machine, at)))]];
}

function filesystem({ machine }: Measured, value: (bytes: number) => number): Row[] {
  const mount = machine.face.config.mounts?.[0];
  const rows: Row[] = [[{ mount: '/' }, value(ROOT_FS_BYTES)]];
  if (mount !== undefined) rows.push([{ mount: mount.path }, value((mount.size_gb ?? 1) * 1024 * MB)]);
  return rows;
}

/** Series of one machine by name; counters only ever grow. */
const machineSeries: Readonly<Record<string, (measured: Measured) => Row[]>> = {
  fly_instance_up: () => [[{}, 1]],
  fly_instance_cpu: cpuRows,
  fly_instance_load_average: ({ machine, at }) =>
    ['1', '5', '15'].map((minutes): Row => [{ minutes }, 0.05 + 0.1 * wobble(machine, at)]),
  fly_instance_memory_mem_total: (measured) => memory(measured, 1),
  fly_instance_memory_mem_available: (measured) => memory(measured, 0.55),
  fly_instance_memory_mem_free: (measured) => memory(measured, 0.35),
  fly_instance_net_recv_bytes: ({ seconds }) => [[{ device: 'eth0' }, Math.round(seconds * 850)]],
  fly_instance_net_sent_bytes: ({ seconds }) => [[{ device: 'eth0' }, Math.round(seconds * 1200)]],
  fly_instance_filesystem_blocks: (measured) => filesystem(measured, (bytes) => bytes / BLOCK_BYTES),
  fly_instance_filesystem_blocks_free: (measured) =>
    filesystem(measured, (bytes) => Math.floor((bytes / BLOCK_BYTES) * 0.8)),
  fly_instance_filesystem_blocks_avail: (measured) =>
    filesystem(measured, (bytes) => Math.floor((bytes / BLOCK_BYTES) * 0.8)),
  fly_instance_filesystem_block_size: (measured) => filesystem(measured, () => BLOCK_BYTES),
};

function volumeSamples(app: AppRecord, name: string, at: number): Sample[] {
  return Object.values(app.volumes)
    .filter(({ createdAt, face }) => createdAt <= at && face.state !== 'pending_destroy')
    .map(({ id, region, host, face }) => ({
      labels: { app: app.name, region, host, id },
      value:
        name === 'fly_volume_size_bytes' ? face.sizeGb * 1024 * MB : face.attachedMachineId === null ? 0 : 5,
    }));
}

/** Every sample of a series in an organisation at a time (ms); none of a series that is not measured. */
export function samplesOf(moment: Moment, query: { org: string; name: string; at: number }): Sample[] {
  const { org, name, at } = query;
  if (at > moment.now) return [];
  const apps = Object.values(moment.state.apps).filter((app) => app.org === org && !app.foreign);
  if (name === 'fly_volume_size_bytes' || name === 'fly_volume_used_pct') {
    return apps.flatMap((app) => volumeSamples(app, name, at));
  }
  const measure = Object.hasOwn(machineSeries, name) ? machineSeries[name] : undefined;
  if (measure === undefined) return [];
  return apps.flatMap((app) =>
    Object.values(app.machines).flatMap((machine) => {
      if (!runsAt(machine, at)) return [];
      const common = { app: app.name, region: machine.region, host: machine.host, instance: machine.id };
      const rows = measure({ machine, at, seconds: ranMs(machine, at) / 1000 });
      return rows.map(([labels, value]) => ({ labels: { ...common, ...labels }, value }));
    }),
  );
}
