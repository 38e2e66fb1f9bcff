/**
 * On which host does something new land? Fly picks one with room; what has a volume must go where the volume
 * is. Every way in which there is no room has its own answer (section 5.9 of our fact sheet).
 */
import type { Moment } from './moment.ts';
import { pick } from './random.ts';
import { Refusal } from './refusal.ts';
import { expandRegions, hostsIn, hostStatus, NEAREST_REGION } from './regions.ts';
import { own, type AppRecord, type VolumeRecord } from './state.ts';

function hostsWithRoom(moment: Moment, region: string): string[] {
  return hostsIn(region).filter(
    (host) => own(moment.state.hosts, host)?.full !== true && hostStatus(moment.state, host) === 'ok',
  );
}

function pickHost(moment: Moment, hosts: readonly string[]): string | undefined {
  const [first, ...others] = hosts;
  return first === undefined ? undefined : pick(moment.state, [first, ...others]);
}

/** First region of the expression that has room. A region over its quota is an answer, not a reason to go on. */
function regionWithRoom(moment: Moment, expression: string | undefined): string | undefined {
  return expandRegions(expression ?? NEAREST_REGION).find(
    (code) => own(moment.state.regions, code)?.capacity !== 'none' && hostsWithRoom(moment, code).length > 0,
  );
}

/** Where a machine goes. */
export interface Place {
  readonly region: string;
  readonly host: string;
}

function refuseOverQuota(moment: Moment, region: string, org: string): void {
  if (own(moment.state.regions, region)?.capacity !== 'quota') return;
  throw new Refusal(
    403,
    `organization ${org} is using 1048576 MB of memory in ${region} which is over the allowed quota`,
  );
}

/** Place for a new machine; with a volume that is the volume's host, or nowhere. */
export function placeMachine(
  moment: Moment,
  app: AppRecord,
  request: { region: string | undefined; volume: VolumeRecord | undefined },
): Place {
  const { region: expression, volume } = request;
  if (volume === undefined) {
    const region = regionWithRoom(moment, expression);
    if (region !== undefined) refuseOverQuota(moment, region, app.org);
    const host = region === undefined ? undefined : pickHost(moment, hostsWithRoom(moment, region));
    if (region !== undefined && host !== undefined) return { region, host };
    throw new Refusal(422, 'could not find a candidate host', 'insufficient_capacity');
  }
  if (expression !== undefined && !expandRegions(expression).includes(volume.region)) {
    throw new Refusal(400, `invalid_argument: volume ${volume.id} is in region ${volume.region}`);
  }
  refuseOverQuota(moment, volume.region, app.org);
  if (!hasRoom(moment, volume.host) || own(moment.state.regions, volume.region)?.capacity === 'none') {
    throw new Refusal(
      412,
      `insufficient resources to create new machine with existing volume id '${volume.id}'`,
      'volume_placement_capacity',
    );
  }
  return { region: volume.region, host: volume.host };
}

/** Place for a new volume: by default a zone without another volume of the name. */
export function placeVolume(
  moment: Moment,
  app: AppRecord,
  request: { region: string | undefined; name: string; uniqueZone: boolean },
): Place {
  const region = regionWithRoom(moment, request.region);
  if (region === undefined) throw new Refusal(409, 'aborted: no capacity');
  const taken = request.uniqueZone
    ? Object.values(app.volumes)
        .filter(({ name, face }) => name === request.name && face.state !== 'pending_destroy')
        .map(({ host }) => host)
    : [];
  const host = pickHost(
    moment,
    hostsWithRoom(moment, region).filter((candidate) => !taken.includes(candidate)),
  );
  if (host === undefined) {
    throw new Refusal(422, 'could not find a candidate host with a unique zone', 'insufficient_capacity');
  }
  return { region, host };
}

/** Whether a machine may be started or grown on the host. */
export function hasRoom(moment: Moment, host: string): boolean {
  return own(moment.state.hosts, host)?.full !== true && hostStatus(moment.state, host) === 'ok';
}
