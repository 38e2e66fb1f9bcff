/**
 * What changed in the whole organisation? One list of machines and one of volumes that replace asking every app. A
 * page may be short or empty while more remains: only an absent cursor is the end.
 */
import { z } from 'zod';
import { json, type Transport } from './call.ts';
import { listOf, orgMachineSchema, orgVolumeSchema, regionSchema, wire } from './decode.ts';
import type { FlyOrganisation, OrgPage } from './fly.ts';
import type { WireOrgMachine, WireOrgVolume, WireRegion } from './wire.ts';

/** Fly's maximum. */
const PAGE_SIZE = 1_000;

interface Continued {
  next_cursor?: string;
  error_regions?: string[];
}

const continued = {
  next_cursor: z.string().optional(),
  error_regions: z.array(z.string()).optional(),
};

const machinesSchema = wire<{ machines: WireOrgMachine[] } & Continued>({
  machines: listOf(orgMachineSchema),
  ...continued,
});

const volumesSchema = wire<{ volumes: WireOrgVolume[] } & Continued>({
  volumes: listOf(orgVolumeSchema),
  ...continued,
});

/** Fly's own client reads this object's key capitalised, the documentation shows it in lower case. */
const regionsSchema = z
  .union([
    wire<{ regions: WireRegion[] }>({ regions: listOf(regionSchema) }),
    wire<{ Regions: WireRegion[] }>({ Regions: listOf(regionSchema) }),
  ])
  .transform((answer) => ('regions' in answer ? answer.regions : answer.Regions));

export function createOrganisation(transport: Transport, { orgSlug }: { orgSlug: string }): FlyOrganisation {
  const path = (list: string) => ['orgs', orgSlug, list];
  return {
    machines: (query, signal) =>
      transport(
        {
          operation: 'Machines_org_list',
          subject: ['list', 'machines of organisation', orgSlug],
          path: path('machines'),
          query: pageQuery(query),
          limit: { id: orgSlug },
          decode(answer) {
            const page = json(machinesSchema)(answer);
            return toPage(page.machines, page);
          },
        },
        signal,
      ),
    volumes: (query, signal) =>
      transport(
        {
          operation: 'Volumes_org_list',
          subject: ['list', 'volumes of organisation', orgSlug],
          path: path('volumes'),
          query: pageQuery(query),
          limit: { id: orgSlug },
          decode(answer) {
            const page = json(volumesSchema)(answer);
            return toPage(page.volumes, page);
          },
        },
        signal,
      ),
    regions: (signal) =>
      transport(
        {
          operation: 'Platform_regions_get',
          subject: ['list', 'regions of', 'Fly'],
          path: ['platform', 'regions'],
          limit: { id: orgSlug },
          decode: json(regionsSchema),
        },
        signal,
      ),
  };
}

/** `summary` leaves the configuration out, which makes a page of a thousand some hundred kilobytes. */
function pageQuery(query: { updatedAfter?: string; cursor?: string; includeDeleted?: boolean }) {
  return {
    limit: PAGE_SIZE,
    summary: true,
    include_deleted: query.includeDeleted === true ? true : undefined,
    updated_after: query.updatedAfter,
    cursor: query.cursor,
  };
}

function toPage<T>(
  items: readonly T[],
  { next_cursor: cursor = '', error_regions: errors = [] }: Continued,
): OrgPage<T> {
  return { items, errorRegions: errors, ...(cursor !== '' && { nextCursor: cursor }) };
}
