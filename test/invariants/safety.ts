/**
 * Does anything happen that never may? A watcher of one history: it is told of every commit of the store, every
 * change of an app and every write that reached Fly, and judges each at that moment.
 */
import { appOf } from '../../src/reconcilers/tenant/input.ts';
import { machineName } from '../../src/reconcilers/tenant/parts/machine-identity.ts';
import type { TenantSettings } from '../../src/reconcilers/tenant/settings.ts';
import { findCondition } from '../../src/tenant/conditions.ts';
import { isPaused } from '../../src/tenant/annotations.ts';
import { FINALIZER, VOLUME_NAME } from '../../src/tenant/names.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { DESTRUCTIVE, type Write } from './destruction.ts';
import { differences, liveMachines, liveVolumes, mayAppearRight, type AppView } from './holdings.ts';
import type { Verdicts } from './invariant.ts';
import { checkTold, checkTransition } from './status.ts';

/**
 * A destruction is justified by any spec that was current so recently: a pass may take two minutes, and its last
 * call may be under way for some seconds more.
 */
const JUSTIFIED_MS = 180_000;

/** After so long every daemon knows that a tenant is paused, also one that has to poll the store for it. */
const PAUSE_KNOWN_MS = 10_000;

export interface Safety {
  /** The store has committed; `secrets` are those that must not be told. */
  committed(change: {
    readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
    readonly before: Tenant | undefined;
    readonly tenant: Tenant;
    readonly events: readonly unknown[];
  }): void;
  /** The app is another one than before; undefined: it is gone. */
  appChanged(name: string, app: AppView | undefined): void;
  /** A write leaves a daemon. `epoch`: of the holding of the tenant's shard under which it is made. */
  began(write: { readonly app: string; readonly epoch: number | undefined }): void;
  /** To be told before the effect shows in {@link appChanged}. */
  wrote(write: Write): void;
}

export interface SafetyOptions {
  readonly verdicts: Verdicts;
  readonly settings: TenantSettings;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly secrets: () => Iterable<string>;
  /** What of the tenant is left outside of Fly, in words. */
  readonly leftElsewhere: (uid: string) => readonly string[];
  /** Whether a call may have come so late, and its maker know so little of it, that it was rightly made again. */
  readonly mayRepeat: () => boolean;
  /** What a daemon says of Fly now may be so old, in milliseconds. */
  readonly lagMs: () => number;
  /** Whether a daemon was held up, so that it knows of things later than others. */
  readonly mayLag: boolean;
}

interface Known {
  tenant: Tenant;
  /** Everything that was ever wanted, oldest first. */
  readonly past: Wish[];
  app: AppView | undefined;
  /** What it was before others changed it, as far back as Fly may still show it; oldest first. */
  before: readonly { readonly app: AppView; readonly untilMs: number }[];
  /** A daemon's write has just taken effect on it. */
  written: boolean;
  /** The highest epoch under which anything was written. */
  epoch: number;
  /** Since when it is paused; Infinity while it is not. */
  pausedAtMs: number;
  /** Volumes that a machine ever mounted: there is data on them. */
  readonly mounted: Set<string>;
  /** The volume with the tenant's data, and the machine that mounts it. */
  holder: { readonly machine: string; readonly volume: string } | undefined;
}

/** A spec, and whether the tenant is to go. */
interface Wish {
  readonly tenant: Tenant;
  /** Until when it was the newest; Infinity while it is. */
  untilMs: number;
  /** Fly was as it wants it at some moment since it was accepted. */
  matched: boolean;
}

/** A pass that goes on after an edit reports of the spec that it began with: so many edits may fit into one pass. */
const MOST_WISHES_AT_ONCE = 6;

export function createSafety(options: SafetyOptions): Safety {
  const { verdicts, settings } = options;
  const byApp = new Map<string, Known>();

  /** Whether any state of the tenant that is recent enough meets the condition. */
  function recently(known: Known, holds: (tenant: Tenant) => boolean): boolean {
    return known.past.some(({ tenant, untilMs }) => untilMs > options.now() - JUSTIFIED_MS && holds(tenant));
  }

  function remember(tenant: Tenant): Known {
    const name = appOf(tenant);
    const known = byApp.get(name) ?? {
      tenant,
      past: [],
      app: undefined,
      before: [],
      written: false,
      epoch: 0,
      pausedAtMs: Infinity,
      mounted: new Set<string>(),
      holder: undefined,
    };
    byApp.set(name, known);
    known.tenant = tenant;
    if (!isPaused(tenant)) known.pausedAtMs = Infinity;
    else known.pausedAtMs = Math.min(known.pausedAtMs, options.now());
    const last = known.past.at(-1);
    // A status that was written wants nothing else than before.
    if (last !== undefined && wantsTheSame(last.tenant, tenant)) return known;
    if (last !== undefined) last.untilMs = options.now();
    known.past.push({ tenant, untilMs: Infinity, matched: false });
    return known;
  }

  /** What Fly may still show of the time before the present state of the app. */
  function recent(known: Known): Known['before'] {
    return known.before.filter(({ untilMs }) => untilMs >= options.now() - options.lagMs());
  }

  /** S9: Ready is only said when Fly was, or by its lists seemed, as this generation wants it since it was accepted. */
  function checkReady(known: Known, before: Tenant | undefined): void {
    const { tenant } = known;
    const ready = findCondition(tenant.status?.conditions, 'Ready');
    if (ready?.status !== 'True' || ready === findCondition(before?.status?.conditions, 'Ready')) return;
    const wish = known.past.find((one) => one.tenant.metadata.generation === ready.observedGeneration);
    verdicts.check(
      'S9',
      wish?.matched === true,
      () =>
        `tenant ${tenant.metadata.name} says Ready of generation ${ready.observedGeneration} and never was: ` +
        differences({ ...tenant, spec: wish?.tenant.spec ?? tenant.spec }, known.app, settings).join('; '),
    );
  }

  function match(known: Known): void {
    const shown = [known.app, ...recent(known).map(({ app }) => app)];
    for (const wish of known.past.slice(-MOST_WISHES_AT_ONCE)) {
      if (wish.matched || wish.tenant.metadata.deletionTimestamp !== undefined) continue;
      // What a tag stands for is told by the status, as of now.
      const { status } = known.tenant;
      wish.matched = mayAppearRight({ ...wish.tenant, status }, shown, settings);
    }
  }

  /** S8: whoever lets go has seen that nothing is left. */
  function checkRelease(known: Known, before: Tenant | undefined): void {
    const had = before?.metadata.finalizers?.includes(FINALIZER) === true;
    const has = known.tenant.metadata.finalizers?.includes(FINALIZER) === true;
    if (!had || has || before.spec.deletionPolicy === 'Orphan') return;
    const { name, uid } = known.tenant.metadata;
    const left = [
      ...(known.app === undefined || known.app.deleting ? [] : ['its app']),
      ...options.leftElsewhere(uid),
    ];
    verdicts.check('S8', left.length === 0, () => `tenant ${name} is let go and leaves ${left.join(', ')}`);
  }

  function checkVolumes(known: Known, app: AppView): void {
    const { name } = known.tenant.metadata;
    for (const { id, config } of liveMachines(app)) {
      const volume = config.mounts?.[0]?.volume;
      if (volume === undefined) continue;
      const { holder } = known;
      // Fly itself may move a machine, and give its volume another id: the machine stays the same.
      const other = holder !== undefined && holder.volume !== volume && holder.machine !== id;
      verdicts.check(
        'S2',
        !other || recently(known, ({ spec }) => spec.acknowledgedVolumeLoss === holder.volume),
        () => `machine ${id} of tenant ${name} mounts ${volume}, the data is on ${holder?.volume ?? ''}`,
      );
      known.mounted.add(volume);
      known.holder = { machine: id, volume };
    }
  }

  return {
    committed({ type, before, tenant, events }) {
      const known = remember(tenant);
      match(known);
      checkTransition(verdicts, before, tenant);
      checkReady(known, before);
      if (type !== 'ADDED') checkRelease(known, before);
      const text = JSON.stringify([tenant.status, events]);
      checkTold(verdicts, {
        where: `what is told of ${tenant.metadata.name}`,
        text,
        secrets: options.secrets(),
      });
    },
    appChanged(name, app) {
      const known = byApp.get(name);
      if (known === undefined) return;
      // Whoever has changed it knows what may not show yet; what others have changed may be shown as it was.
      if (known.app !== undefined && !known.written)
        known.before = [...recent(known), { app: known.app, untilMs: options.now() }];
      known.app = app;
      known.written = false;
      if (app === undefined) return;
      const machines = liveMachines(app);
      const foreign = [
        ...machines.filter((machine) => machine.name !== machineName(known.tenant)),
        ...liveVolumes(app).filter((volume) => volume.name !== VOLUME_NAME),
      ];
      verdicts.check('S1', machines.length <= 1, () => `${name} has ${machines.length} live machines`);
      verdicts.check(
        'S3',
        foreign.length === 0,
        () => `${name} has ${foreign[0]?.id ?? ''} without our mark`,
      );
      const addresses = app.addresses.filter(({ type }) => type === 'v6').length;
      verdicts.check(
        'ONCE',
        addresses <= 1 || options.mayRepeat(),
        () => `${name} has ${addresses} IPv6 addresses`,
      );
      checkVolumes(known, app);
      match(known);
    },
    began({ app, epoch }) {
      const known = byApp.get(app);
      if (known === undefined) return;
      const { name } = known.tenant.metadata;
      const paused = options.now() - known.pausedAtMs > PAUSE_KNOWN_MS;
      verdicts.check('S6', !paused || options.mayLag, () => `a write for ${name}, which is paused`);
      if (epoch === undefined) return;
      verdicts.check(
        'S7',
        epoch >= known.epoch,
        () => `a write for ${name} under epoch ${epoch} after ${known.epoch}`,
      );
      known.epoch = Math.max(known.epoch, epoch);
    },
    wrote(write) {
      const known = byApp.get(write.app);
      if (known !== undefined) known.written = true;
      const again = repeats(write, known?.app);
      verdicts.check(
        'ONCE',
        again === undefined || options.mayRepeat(),
        () => `${write.app}: ${again ?? ''}`,
      );
      const destroys = DESTRUCTIVE[write.operation];
      if (known === undefined || destroys === undefined) return;
      const target = `${write.operation} of ${write.target} of tenant ${known.tenant.metadata.name}`;
      const wanted =
        recently(known, ({ metadata }) => metadata.deletionTimestamp !== undefined) ||
        destroys({ ...known, write, settings, recently: (holds) => recently(known, holds) });
      verdicts.check('S4', wanted, () => `${target}: nobody wanted that`);
      const orphaned = !recently(
        known,
        ({ metadata, spec }) => spec.deletionPolicy !== 'Orphan' || metadata.deletionTimestamp === undefined,
      );
      verdicts.check('S5', !orphaned, () => `${target}: its policy is Orphan`);
    },
  };
}

function wantsTheSame(one: Tenant, other: Tenant): boolean {
  return (
    one.metadata.generation === other.metadata.generation &&
    one.metadata.deletionTimestamp === other.metadata.deletionTimestamp
  );
}

/** What there already is of what Fly would make twice, in words. */
function repeats({ operation }: Write, app: AppView | undefined): string | undefined {
  const volumes = liveVolumes(app).length;
  if (operation === 'Volumes_create' && volumes > 0) return `a volume is made beside ${volumes}`;
  return undefined;
}
