/**
 * With which settings and on which port does the embedded server start? On the port of the last time, or the next
 * one that is free; and again after a moment when the remains of a killed server are still in the way.
 */
import { sleep } from '../clock.ts';
import { writeRecord, type EmbeddedRecord } from './embedded-place.ts';
import { start, StartError, type RunningServer, type ServerOptions } from './embedded-server.ts';

/** Below 32768: above it the system lends ports to outgoing connections, and one of those may be in the way. */
const FIRST_PORT = 15_432;
const PORTS = 10_000;
const MOST_PORTS_TRIED = 20;
/** Children of a server that was killed need a moment to notice and to let go of its shared memory. */
const MOST_BUSY_STARTS = 40;
const BUSY_PAUSE_MS = 250;

/** Small, quiet, and closed to everything but the loopback interface. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '32MB',
  max_connections: '100',
  max_wal_size: '256MB',
  io_method: 'sync',
  max_parallel_workers_per_gather: '0',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  log_line_prefix: '',
  // Neither statements nor rows in the log: they may hold secrets.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
};
/** A killed server loses nothing with these; a machine that loses power does. */
const NOT_DURABLE = { fsync: 'off', full_page_writes: 'off' };

export interface LaunchOptions extends ServerOptions {
  readonly durable: boolean;
}

/** Starts the server on this port. Undefined when something else listens there; otherwise throws StartError. */
export async function launch(options: LaunchOptions, port: number): Promise<RunningServer | undefined> {
  const settings = options.durable ? SETTINGS : { ...SETTINGS, ...NOT_DURABLE };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start({ ...options, port, settings });
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      if (/could not bind .*address already in use/i.test(error.lastWords)) return undefined;
      const busy = /pre-existing shared memory block|lock file .* already exists/.test(error.lastWords);
      if (!busy || attempt === MOST_BUSY_STARTS) throw error;
    }
    await sleep(options.clock, BUSY_PAUSE_MS, options.signal);
    options.signal.throwIfAborted();
  }
}

/** Tries ports until the server gets one, and remembers it: a URL that somebody copied stays true. */
export async function launchOnFreePort(
  options: LaunchOptions & { readonly stateDir: string; readonly record: EmbeddedRecord },
): Promise<{ port: number; running: RunningServer }> {
  const { record, stateDir } = options;
  const base = record.port ?? FIRST_PORT + (Number.parseInt(record.id.slice(0, 8), 16) % PORTS);
  for (let tried = 0; tried < MOST_PORTS_TRIED; tried += 1) {
    const port = FIRST_PORT + ((base - FIRST_PORT + tried + PORTS) % PORTS);
    const running = await launch(options, port);
    if (running === undefined) continue;
    if (record.port !== port) await writeRecord(stateDir, { ...record, port });
    return { port, running };
  }
  throw new Error(
    `${MOST_PORTS_TRIED} ports of 127.0.0.1 from ${base} on are taken: set DATABASE_URL to a server of your own`,
  );
}

/** Starts the server on exactly this port, and remembers nothing. */
export async function launchOnPort(
  options: LaunchOptions,
  port: number,
): Promise<{ port: number; running: RunningServer }> {
  const running = await launch(options, port);
  if (running === undefined) throw new Error(`port ${port} of 127.0.0.1 is taken: end what listens there`);
  return { port, running };
}
