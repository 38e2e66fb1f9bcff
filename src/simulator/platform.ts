/**
 * What does Fly tell about itself? Its regions, and what the caller's token is good for.
 */
import { ok, type Answer } from './call.ts';
import type { Moment } from './moment.ts';
import { NEAREST_REGION, regions } from './regions.ts';

/** The organisation that is there before anybody made an app in another one. */
export const DEFAULT_ORG = 'systemprompt';

export function listRegions(): Answer {
  const rows = regions.map(({ code, name, geo, latitude, longitude, gateway }) => ({
    code,
    name,
    latitude,
    longitude,
    geo_region: geo,
    gateway_available: gateway,
    requires_paid_plan: false,
    deprecated: false,
  }));
  return ok({ nearest: NEAREST_REGION, regions: rows });
}

/** Any token is good here, for every organisation that there is. */
export function showCurrentToken(moment: Moment): Answer {
  const orgs = new Set([
    DEFAULT_ORG,
    ...Object.values(moment.state.apps).flatMap((app) => (app.foreign ? [] : [app.org])),
  ]);
  const tokens = [...orgs]
    .sort()
    .map((org) => ({ token_id: `simulated-${org}`, org_slug: org, organization: org, apps: [] }));
  return ok({ tokens });
}
