/**
 * A simulated Fly as a program of its own, so that it outlives whatever is developed against it. Configured by
 * SIMULATOR_PORT (4280), SIMULATOR_HOST (127.0.0.1), SIMULATOR_LATENCY (1; 0 for none), SIMULATOR_SEED (1),
 * SIMULATOR_STATE (a file; absent: the world ends with the process), SIMULATOR_RATE_LIMITS (`on` or `off`),
 * SIMULATOR_APPS (apps that are there from the start, by default the shared registry app) and SIMULATOR_IMAGES
 * (images that its registry holds from the start, by default that of the example tenants).
 */
import { z } from 'zod';
import { systemClock } from '../clock.ts';
import { createSimulatorServer } from './server.ts';

const environment = z.object({
  SIMULATOR_PORT: z.coerce.number().int().min(0).max(65_535).default(4280),
  SIMULATOR_HOST: z.string().min(1).default('127.0.0.1'),
  SIMULATOR_LATENCY: z.coerce.number().min(0).default(1),
  SIMULATOR_SEED: z.coerce.number().int().default(1),
  SIMULATOR_STATE: z.string().min(1).optional(),
  SIMULATOR_RATE_LIMITS: z.enum(['on', 'off']).default('on'),
  SIMULATOR_APPS: z.string().default('systemprompt-images'),
  SIMULATOR_IMAGES: z.string().default('systemprompt-images:hello'),
});

const settings = environment.parse(process.env);

const server = await createSimulatorServer({
  clock: systemClock,
  host: settings.SIMULATOR_HOST,
  port: settings.SIMULATOR_PORT,
  latency: settings.SIMULATOR_LATENCY,
  seed: settings.SIMULATOR_SEED,
  rateLimits: settings.SIMULATOR_RATE_LIMITS === 'on',
  apps: settings.SIMULATOR_APPS.split(',').filter((name) => name !== ''),
  images: settings.SIMULATOR_IMAGES.split(',').filter((name) => name !== ''),
  ...(settings.SIMULATOR_STATE !== undefined && { stateFile: settings.SIMULATOR_STATE }),
  log: (message, error) =>
    process.stderr.write(`${message}: ${error instanceof Error ? (error.stack ?? '') : String(error)}\n`),
});

process.stdout.write(`simulated Fly listens on ${server.url}\n`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void server.close();
  });
}
