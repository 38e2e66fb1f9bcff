/**
 * What can be asked of an app's certificates? Fly issues them by ACME once DNS points to the app; until then they
 * are listed as pending.
 */
import { z } from 'zod';
import { json, nothing, Unintelligible, type Call, type Transport } from './call.ts';
import { certificateSchema, listOf, wire } from './decode.ts';
import type { FlyCertificates } from './fly.ts';
import type { WireCertificate } from './wire.ts';

/** Fly's maximum. */
const PAGE_SIZE = 500;
/** 10,000 hostnames of one app; a list that goes on is a cursor that runs in circles. */
const MOST_PAGES = 20;

interface Page {
  certificates: WireCertificate[];
  next_cursor?: string;
}

const pageSchema = wire<Page>({
  certificates: listOf(certificateSchema),
  next_cursor: z.string().optional(),
});

export function createCertificates(transport: Transport): FlyCertificates {
  return {
    async list(app, signal) {
      const certificates: WireCertificate[] = [];
      let cursor = '';
      for (let number = 1; number <= MOST_PAGES; number += 1) {
        const next = await transport(pageCall(app, { cursor, number }), signal);
        if (next === undefined) return undefined;
        certificates.push(...next.certificates);
        cursor = next.next_cursor ?? '';
        if (cursor === '') break;
      }
      return certificates;
    },
    get: (app, hostname, signal) =>
      transport(
        {
          operation: 'App_Certificates_show',
          subject: ['read', 'certificate', hostname],
          path: ['apps', app, 'certificates', hostname],
          limit: { id: app },
          decode: json(certificateSchema),
          means: { 404: () => undefined },
        },
        signal,
      ),
    create: (app, hostname, signal) =>
      transport(
        {
          operation: 'App_Certificates_acme_create',
          subject: ['create', 'certificate', hostname],
          method: 'POST',
          path: ['apps', app, 'certificates', 'acme'],
          body: { hostname },
          limit: { id: app },
          decode: json(certificateSchema),
        },
        signal,
      ),
    delete: (app, hostname, signal) =>
      transport(
        {
          operation: 'App_Certificates_delete',
          subject: ['delete', 'certificate', hostname],
          method: 'DELETE',
          path: ['apps', app, 'certificates', hostname],
          limit: { id: app },
          decode: nothing,
        },
        signal,
      ),
  };
}

function pageCall(
  app: string,
  { cursor, number }: { cursor: string; number: number },
): Call<Page | undefined> {
  return {
    operation: 'App_Certificates_list',
    subject: ['list', 'certificates of app', app],
    path: ['apps', app, 'certificates'],
    query: { limit: PAGE_SIZE, cursor: cursor === '' ? undefined : cursor },
    limit: { id: app },
    decode(answer) {
      const page = json(pageSchema)(answer);
      if (number === MOST_PAGES && (page.next_cursor ?? '') !== '')
        throw new Unintelligible(`the list does not end after ${MOST_PAGES} pages`);
      return page;
    },
    means: { 404: () => undefined },
  };
}
