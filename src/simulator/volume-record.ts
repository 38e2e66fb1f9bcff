/**
 * How is one volume's record found, changed, bound and released? A volume belongs to one app, lies on one
 * host, and is bound to at most one machine, for a while also after that machine is gone.
 */
import { replaceFace } from './lag.ts';
import { changed, drawMs, plan, type Moment } from './moment.ts';
import { drop, own, type AppRecord, type VolumeFace, type VolumeRecord } from './state.ts';

/** Fly keeps a deleted volume for a day; no latency factor changes that. */
const PURGE_AFTER_MS = 24 * 60 * 60_000;

/** Replaces part of what is seen of the volume. */
export function changeVolume(
  moment: Moment,
  place: { app: AppRecord; volume: VolumeRecord },
  patch: Partial<VolumeFace>,
): void {
  const { app, volume } = place;
  const face = { ...volume.face, ...patch, updatedAt: moment.now };
  replaceFace(volume, face, { now: moment.now, lagMs: drawMs(moment, 'list') });
  changed(moment, app);
}

/** Whether the volume was deleted, for good or for the day that it can still be restored. */
export function isDeleted(volume: VolumeRecord): boolean {
  return volume.face.state === 'scheduling_destroy' || volume.face.state === 'pending_destroy';
}

/** Volumes bound to a machine that is gone become free, each after its own while. */
export function releaseVolumes(moment: Moment, app: AppRecord, machineId: string): void {
  for (const volume of Object.values(app.volumes)) {
    if (volume.face.attachedMachineId === machineId) {
      plan(moment, app, 'volumeUnbind', volume.id, drawMs(moment, 'volumeUnbind'));
    }
  }
}

/** Deletes a volume softly: it stays listed. */
export function deleteSoftly(moment: Moment, app: AppRecord, volume: VolumeRecord): void {
  moment.agenda.cancel(app, 'volumeStep', volume.id);
  changeVolume(moment, { app, volume }, { state: 'scheduling_destroy', attachedMachineId: null });
  plan(moment, app, 'volumeStep', volume.id, drawMs(moment, 'volumeDestroy'));
}

/** The agenda's turn: what was under way with the volume is done. */
export function stepVolume(moment: Moment, app: AppRecord, volumeId: string): void {
  const volume = own(app.volumes, volumeId);
  if (volume === undefined) return;
  if (volume.face.state === 'scheduling_destroy') {
    changeVolume(moment, { app, volume }, { state: 'pending_destroy' });
    plan(moment, app, 'volumePurge', volumeId, PURGE_AFTER_MS);
  } else {
    changeVolume(moment, { app, volume }, { state: 'created' });
  }
}

/** The agenda's turn: the binding to a machine that is gone has dissolved. */
export function unbindVolume(moment: Moment, app: AppRecord, volumeId: string): void {
  const volume = own(app.volumes, volumeId);
  if (volume !== undefined) changeVolume(moment, { app, volume }, { attachedMachineId: null });
}

/** The agenda's turn: the day is over, nothing remembers the volume. */
export function purgeVolume(moment: Moment, app: AppRecord, volumeId: string): void {
  drop(app.volumes, volumeId);
  changed(moment, app);
}
