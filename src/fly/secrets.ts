/**
 * What can be asked of an app's secrets? One call sets and unsets any number of them and makes one new version, which
 * machines are then told to wait for. Values go out in bodies only and never come back.
 */
import { z } from 'zod';
import { json, Unintelligible, type Transport } from './call.ts';
import { listOf, secretSchema, wire } from './decode.ts';
import type { FlySecrets } from './fly.ts';
import type { WireSecret } from './wire.ts';

const listSchema = wire<{ secrets: WireSecret[] }>({ secrets: listOf(secretSchema) });

/** Fly answers with `version`, and with `Version` for older clients. */
const writtenSchema = wire<{ secrets: WireSecret[]; version?: number; Version?: number }>({
  secrets: listOf(secretSchema),
  version: z.number().optional(),
  Version: z.number().optional(),
});

export function createSecrets(transport: Transport): FlySecrets {
  return {
    list: (app, minVersion, signal) =>
      transport(
        {
          operation: 'Secrets_list',
          subject: ['list', 'secrets of app', app],
          path: ['apps', app, 'secrets'],
          query: { min_version: minVersion },
          limit: { id: app },
          decode: (answer) => json(listSchema)(answer).secrets,
          means: { 404: () => undefined },
        },
        signal,
      ),
    set: (app, values, signal) =>
      transport(
        {
          operation: 'Secrets_update',
          subject: ['set', 'secrets of app', app],
          method: 'POST',
          path: ['apps', app, 'secrets'],
          body: { values },
          limit: { id: app },
          confidential: true,
          decode(answer) {
            const { secrets, version, Version: legacyVersion } = json(writtenSchema)(answer);
            const written = version ?? legacyVersion;
            if (written === undefined)
              throw new Unintelligible('the field version is missing or of another type');
            return { version: written, secrets };
          },
        },
        signal,
      ),
  };
}
