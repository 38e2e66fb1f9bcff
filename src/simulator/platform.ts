/**
 * What does Fly tell about itself? Its regions, and what the caller's token is good for.
 */
import { ok, type Answer, type Call } from './call.ts';
import type { Moment } from './moment.ts';
import { NEAREST_REGION, regions } from './regions.ts';
import { own } from './state.ts';
import { limitsOf } from './tokens.ts';

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

/** A deploy token is good for its app, any other token for every organisation that there is. */
export function showCurrentToken(moment: Moment, call: Call): Answer {
  const limits = limitsOf(call.headers.authorization ?? '');
  if (limits !== undefined) {
    const org = own(moment.state.apps, limits.app)?.org ?? DEFAULT_ORG;
    const token = {
      token_id: `simulated-${limits.app}`,
      org_slug: org,
      organization: org,
      apps: [limits.app],
    };
    return ok({ tokens: [token] });
  }
  const orgs = new Set([
    DEFAULT_ORG,
    ...Object.values(moment.state.apps).flatMap((app) => (app.foreign ? [] : [app.org])),
  ]);
  const tokens = [...orgs]
    .sort()
    .map((org) => ({ token_id: `simulated-${org}`, org_slug: org, organization: org, apps: [] }));
  return ok({ tokens });
}
