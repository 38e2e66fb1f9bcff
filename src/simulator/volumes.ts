/**
 * Which volumes does an app have? Create, read, extend, change and delete. A volume that is bound cannot be
 * deleted; a deleted one stays in the lists for a day.
 */
import { z } from 'zod';
import { appOf } from './apps.ts';
import { flag, ok, parseBody, type Answer, type Call } from './call.ts';
import { volumeId } from './identifiers.ts';
import { listedFace, newLagged } from './lag.ts';
import { guest } from './machine-guest.ts';
import { changed, drawMs, plan, timestamp, type Moment } from './moment.ts';
import { placeVolume } from './placement.ts';
import { invalid, notFound, Refusal } from './refusal.ts';
import { hostStatus } from './regions.ts';
import { own, type AppRecord, type VolumeFace, type VolumeRecord } from './state.ts';
import { changeVolume, deleteSoftly, isDeleted } from './volume-record.ts';

const LARGEST_GB = 500;
const BLOCK_BYTES = 4096;
const GB = 1024 ** 3;

const createBody = z.object({
  name: z.string().regex(/^[a-z0-9_-]{1,30}$/i, 'must be letters, digits, underscores or dashes'),
  region: z.string().optional(),
  size_gb: z.int().min(1).max(LARGEST_GB).optional(),
  encrypted: z.boolean().optional(),
  fstype: z.enum(['ext4', 'raw']).optional(),
  snapshot_retention: z.int().min(1).max(60).optional(),
  auto_backup_enabled: z.boolean().optional(),
  require_unique_zone: z.boolean().optional(),
  compute: guest.optional(),
  snapshot_id: z.string().optional(),
  source_volume_id: z.string().optional(),
});

/** Blocks are counted once the volume was mounted: until then Fly answers zeros and no file system. */
function blocksView(volume: VolumeRecord, face: VolumeFace): Record<string, unknown> {
  const blocks = face.attachedMachineId === null ? 0 : Math.floor((face.sizeGb * GB) / BLOCK_BYTES);
  const used = Math.floor(blocks / 20);
  return {
    blocks,
    block_size: blocks === 0 ? 0 : BLOCK_BYTES,
    blocks_free: blocks - used,
    blocks_avail: blocks - used,
    bytes_used: used * BLOCK_BYTES,
    bytes_total: blocks * BLOCK_BYTES,
    fstype: blocks === 0 ? '' : volume.fstype,
  };
}

/** A volume on the wire; lists pass the face that they see. */
export function volumeView(
  moment: Moment,
  volume: VolumeRecord,
  { face = volume.face, summary = false }: { face?: VolumeFace; summary?: boolean } = {},
): Record<string, unknown> {
  return {
    id: volume.id,
    name: volume.name,
    state: face.state,
    size_gb: face.sizeGb,
    region: volume.region,
    zone: volume.host,
    encrypted: volume.encrypted,
    attached_machine_id: face.attachedMachineId,
    attached_alloc_id: null,
    created_at: timestamp(volume.createdAt),
    ...(!summary && blocksView(volume, face)),
    snapshot_retention: face.snapshotRetention,
    auto_backup_enabled: face.autoBackup,
    host_status: hostStatus(moment.state, volume.host),
  };
}

/** Puts a volume on a host, whoever asks for it. */
export function makeVolume(
  moment: Moment,
  app: AppRecord,
  made: Pick<VolumeRecord, 'name' | 'region' | 'host' | 'encrypted' | 'fstype'> &
    Pick<VolumeFace, 'sizeGb' | 'snapshotRetention' | 'autoBackup'>,
): VolumeRecord {
  const { now } = moment;
  const { name, region, host, encrypted, fstype, sizeGb, snapshotRetention, autoBackup } = made;
  const face: VolumeFace = {
    state: 'created',
    sizeGb,
    attachedMachineId: null,
    updatedAt: now,
    snapshotRetention,
    autoBackup,
  };
  const getLagMs = drawMs(moment, 'getAfterCreate');
  const volume: VolumeRecord = {
    ...newLagged(face, { now, lagMs: Math.max(getLagMs, drawMs(moment, 'list')) }),
    id: volumeId(moment.state),
    name,
    region,
    host,
    encrypted,
    fstype,
    createdAt: now,
    visibleAt: now + getLagMs,
  };
  app.volumes[volume.id] = volume;
  changed(moment, app);
  return volume;
}

export function createVolume(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const body = parseBody(createBody, call);
  if (body.snapshot_id !== undefined || body.source_volume_id !== undefined) {
    throw new Refusal(501, 'not simulated: Volumes_create from a snapshot or another volume');
  }
  const uniqueZone = body.require_unique_zone ?? true;
  const place = placeVolume(moment, app, { region: body.region, name: body.name, uniqueZone });
  const volume = makeVolume(moment, app, {
    ...place,
    name: body.name,
    encrypted: body.encrypted ?? true,
    fstype: body.fstype ?? 'ext4',
    sizeGb: body.size_gb ?? 3,
    snapshotRetention: body.snapshot_retention ?? 5,
    autoBackup: body.auto_backup_enabled ?? true,
  });
  return ok(volumeView(moment, volume));
}

function volumeOf(moment: Moment, app: AppRecord, call: Call): VolumeRecord {
  const volume = own(app.volumes, call.params.volume_id ?? '');
  if (volume === undefined || moment.now < volume.visibleAt) throw notFound('volume');
  return volume;
}

function livingVolumeOf(moment: Moment, app: AppRecord, call: Call): VolumeRecord {
  const volume = volumeOf(moment, app, call);
  if (isDeleted(volume)) throw notFound('volume');
  return volume;
}

export function listVolumes(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call);
  const summary = flag(call, 'summary');
  const views = Object.values(app.volumes).flatMap((volume) => {
    const face = listedFace(volume, moment.now);
    return face === null ? [] : [volumeView(moment, volume, { face, summary })];
  });
  return ok(views);
}

export function showVolume(moment: Moment, call: Call): Answer {
  return ok(volumeView(moment, volumeOf(moment, appOf(moment, call), call)));
}

const updateBody = z.object({
  snapshot_retention: z.int().min(1).max(60).optional(),
  auto_backup_enabled: z.boolean().optional(),
});

export function updateVolume(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const volume = livingVolumeOf(moment, app, call);
  const body = parseBody(updateBody, call);
  changeVolume(
    moment,
    { app, volume },
    {
      snapshotRetention: body.snapshot_retention ?? volume.face.snapshotRetention,
      autoBackup: body.auto_backup_enabled ?? volume.face.autoBackup,
    },
  );
  return ok(volumeView(moment, volume));
}

const extendBody = z.object({ size_gb: z.int().min(1).max(LARGEST_GB) });

export function extendVolume(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const volume = livingVolumeOf(moment, app, call);
  const { size_gb: sizeGb } = parseBody(extendBody, call);
  if (sizeGb < volume.face.sizeGb) throw invalid(`a volume of ${volume.face.sizeGb} GB cannot shrink`);
  if (volume.face.state !== 'created') {
    throw new Refusal(412, `failed_precondition: volume is currently ${volume.face.state}`);
  }
  const needsRestart =
    sizeGb > volume.face.sizeGb && own(moment.state.hosts, volume.host)?.extendNeedsRestart === true;
  if (sizeGb > volume.face.sizeGb) {
    changeVolume(moment, { app, volume }, { state: 'extending', sizeGb });
    plan(moment, app, 'volumeStep', volume.id, drawMs(moment, 'volumeExtend'));
  }
  return ok({ volume: volumeView(moment, volume), needs_restart: needsRestart });
}

export function deleteVolume(moment: Moment, call: Call): Answer {
  const app = appOf(moment, call, { write: true });
  const volume = livingVolumeOf(moment, app, call);
  const bound = volume.face.attachedMachineId;
  if (bound !== null) {
    throw new Refusal(412, `failed_precondition: volume is currently bound to machine: ${bound}`);
  }
  deleteSoftly(moment, app, volume);
  return ok(volumeView(moment, volume));
}
