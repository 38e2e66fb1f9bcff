/**
 * Under which addresses can an app be reached? There is no idempotency key: asking twice for a dedicated one
 * gives two. Asking again for the shared one answers with the one that is there.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { noContent, ok, parseBody, type Answer, type Call } from './call.ts';
import { changed, timestamp, type Moment } from './moment.ts';
import { invalid, notFound } from './refusal.ts';
import type { AddressRecord, AppRecord } from './state.ts';

const createBody = z.object({
  type: z.enum(['v4', 'v6', 'shared_v4', 'private_v6']),
  region: z.string().optional(),
  org_slug: z.string().optional(),
  network: z.string().optional(),
  service_name: z.string().optional(),
});

/** Addresses carry the world's sequence number, so that no two apps ever get the same dedicated one. */
function newIp(moment: Moment, app: AppRecord, type: AddressRecord['type']): string {
  const { state } = moment;
  state.sequence += 1;
  const [high, low] = [(state.sequence >>> 16) & 0xffff, state.sequence & 0xffff];
  const tail = `${high.toString(16)}:${low.toString(16)}`;
  switch (type) {
    case 'v4':
      return `137.${high & 0xff}.${low >>> 8}.${low & 0xff}`;
    case 'v6':
      return `2a09:8280:1::${tail}:0`;
    case 'private_v6':
      return `fdaa:1:${app.numericId.toString(16)}:0:1::${tail}`;
    case 'shared_v4':
      return `66.241.12${app.numericId % 2 === 0 ? 4 : 5}.${1 + (app.numericId % 254)}`;
  }
}

function addressView(address: AddressRecord): Record<string, unknown> {
  const { ip, type, region, serviceName, createdAt } = address;
  return {
    ip,
    region,
    service_name: serviceName,
    shared: type === 'shared_v4',
    created_at: timestamp(createdAt),
  };
}

export function listAddresses(moment: Moment, call: Call): Answer {
  return ok({ ips: appOf(moment, call).addresses.map(addressView) });
}

export function createAddress(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const body = parseBody(createBody, call);
  if (body.type === 'private_v6' && body.region !== undefined && body.region !== '') {
    throw invalid('a private address has no region');
  }
  const shared = app.addresses.find(({ type }) => type === 'shared_v4');
  if (body.type === 'shared_v4' && shared !== undefined) return ok(addressView(shared));
  const address: AddressRecord = {
    ip: newIp(moment, app, body.type),
    type: body.type,
    region: body.region ?? '',
    serviceName: body.service_name ?? '',
    network: body.network ?? 'default',
    createdAt: moment.now,
  };
  app.addresses.push(address);
  changed(moment, app);
  return ok(addressView(address));
}

export function deleteAddress(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const others = app.addresses.filter(({ ip }) => ip !== call.params.ip);
  if (others.length === app.addresses.length) throw notFound('ip');
  app.addresses = others;
  changed(moment, app);
  return noContent();
}
