/**
 * Where can things be? Fly's regions (the list of August 2026), the aliases that a region expression may
 * use, and the hosts of every region. What is unusual about a region now is a knob in the state.
 */
import { invalid } from './refusal.ts';
import { own, type WorldState } from './state.ts';

export interface Region {
  readonly code: string;
  readonly name: string;
  readonly geo: 'north_america' | 'south_america' | 'europe' | 'asia_pacific' | 'africa';
  readonly latitude: number;
  readonly longitude: number;
  readonly gateway: boolean;
}

function region(code: string, name: string, geo: Region['geo'], latitude: number, longitude: number): Region {
  return { code, name, geo, latitude, longitude, gateway: code !== 'jnb' && code !== 'gru' };
}

export const regions: readonly Region[] = [
  region('ams', 'Amsterdam, Netherlands', 'europe', 52.37, 4.9),
  region('arn', 'Stockholm, Sweden', 'europe', 59.65, 17.93),
  region('bom', 'Mumbai, India', 'asia_pacific', 19.08, 72.88),
  region('cdg', 'Paris, France', 'europe', 48.86, 2.35),
  region('dfw', 'Dallas, Texas (US)', 'north_america', 32.78, -96.8),
  region('ewr', 'Secaucus, NJ (US)', 'north_america', 40.79, -74.06),
  region('fra', 'Frankfurt, Germany', 'europe', 50.11, 8.68),
  region('gru', 'Sao Paulo, Brazil', 'south_america', -23.55, -46.63),
  region('iad', 'Ashburn, Virginia (US)', 'north_america', 39.02, -77.46),
  region('jnb', 'Johannesburg, South Africa', 'africa', -26.2, 28.05),
  region('lax', 'Los Angeles, California (US)', 'north_america', 33.94, -118.41),
  region('lhr', 'London, United Kingdom', 'europe', 51.52, -0.6),
  region('nrt', 'Tokyo, Japan', 'asia_pacific', 35.62, 139.75),
  region('ord', 'Chicago, Illinois (US)', 'north_america', 41.89, -87.64),
  region('sin', 'Singapore, Singapore', 'asia_pacific', 1.29, 103.85),
  region('sjc', 'San Jose, California (US)', 'north_america', 37.35, -121.96),
  region('syd', 'Sydney, Australia', 'asia_pacific', -33.87, 151.2),
  region('yyz', 'Toronto, Canada', 'north_america', 43.65, -79.38),
];

/** The region that is near whoever calls the simulator. */
export const NEAREST_REGION = 'iad';

const codes = regions.map(({ code }) => code);

function codesOf(...geos: Region['geo'][]): string[] {
  return regions.filter(({ geo }) => geos.includes(geo)).map(({ code }) => code);
}

const aliases: Readonly<Record<string, readonly string[]>> = {
  any: [NEAREST_REGION, ...codes.filter((code) => code !== NEAREST_REGION)],
  apac: codesOf('asia_pacific'),
  eu: codesOf('europe'),
  na: codesOf('north_america'),
  sa: codesOf('south_america'),
  us: codesOf('north_america').filter((code) => code !== 'yyz'),
  usa: codesOf('north_america').filter((code) => code !== 'yyz'),
};

/** Region codes that an expression such as `lhr,eu` stands for, in order of preference. Unknown words are refused. */
export function expandRegions(expression: string): string[] {
  const expanded = expression.split(',').flatMap((word) => {
    const wanted = word.trim().toLowerCase();
    if (codes.includes(wanted)) return [wanted];
    const alias = own(aliases, wanted);
    if (alias === undefined) throw invalid(`region "${wanted}" not found`);
    return alias;
  });
  return [...new Set(expanded)];
}

/** So many hosts has every region; few enough that "no zone is left" can be seen. */
const HOSTS_PER_REGION = 8;

/** The hosts of a region by their code, four hexadecimal digits, which Fly also calls the zone. */
const hostsByRegion = new Map(
  codes.map((code, index) => [
    code,
    Array.from({ length: HOSTS_PER_REGION }, (_, host) =>
      (((index * HOSTS_PER_REGION + host + 1) * 0x9e35) & 0xffff).toString(16).padStart(4, '0'),
    ),
  ]),
);

/** Codes of the hosts of a region. */
export function hostsIn(code: string): readonly string[] {
  return hostsByRegion.get(code) ?? [];
}

/** Whether there is such a host anywhere. */
export function isHost(host: string): boolean {
  return [...hostsByRegion.values()].some((hosts) => hosts.includes(host));
}

/** What Fly says of everything on the host. */
export function hostStatus(state: WorldState, host: string): 'ok' | 'unknown' | 'unreachable' {
  return own(state.hosts, host)?.status ?? 'ok';
}
