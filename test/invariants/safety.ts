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
import { isMisled, mayRepeat, type Made, type Maker } from './maker.ts';
import { checkTold, checkTransition } from './status.ts';

/** After so long every daemon knows that a tenant is paused, also one that has to poll the store for it. */
const PAUSE_KNOWN_MS = 10_000;

export interface Safety {
  /** The store has committed what a daemon wrote, or a person, when there is no maker. */
  committed(
    change: {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
      readonly before: Tenant | undefined;
      readonly tenant: Tenant;
      readonly events: readonly unknown[];
    },
    maker?: Maker,
  ): void;
  /** The app is another one than before; undefined: it is gone. */
  appChanged(name: string, app: AppView | undefined): void;
  /** A write leaves a daemon. `epoch`: of the holding of the tenant's shard under which it is made. */
  began(write: {
    readonly app: string;
    readonly epoch: number | undefined;
    readonly maker: Pick<Maker, 'awakeSinceMs'>;
  }): void;
  /** To be told before the effect shows in {@link appChanged}. */
  wrote(write: Write): void;
  /** Whether the app may be there after its tenant was let go: whoever let go could not know that it would come. */
  mayBeLeft(app: string): boolean;
}

export interface SafetyOptions {
  readonly verdicts: Verdicts;
  readonly settings: TenantSettings;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly secrets: () => Iterable<string>;
  /** What of the tenant is left outside of Fly, in words. */
  readonly leftElsewhere: (uid: string) => readonly string[];
  /** So far behind are Fly's lists. */
  readonly listLagMs: number;
}

interface Known {
  tenant: Tenant;
  /** Everything that was ever wanted, oldest first. */
  readonly past: Wish[];
  app: AppView | undefined;
  /** What it was before, oldest first, as far back as a pass may know it. */
  before: readonly Former[];
  /** The write that took effect on it last. */
  written: Made | undefined;
  /** The newest of each kind of call that makes something, by what it makes. */
  readonly makings: Map<string, Made>;
  /** What was last made twice, and rightly so: the second one's maker could not know of the first. */
  repeated: { readonly first: Made; readonly second: Made } | undefined;
  /** Who has let go of the tenant. */
  releasedBy: Maker | undefined;
  /** The highest epoch under which anything was written. */
  epoch: number;
  /** Since when it is paused; Infinity while it is not. */
  pausedAtMs: number;
  /** Volumes that a machine ever mounted: there is data on them. */
  readonly mounted: Set<string>;
  /** The volume with the tenant's data, and the machine that mounts it. */
  holder: { readonly machine: string; readonly volume: string } | undefined;
}

/** A former state of an app. */
interface Former {
  readonly app: AppView;
  readonly untilMs: number;
  /** The process that changed it, and heard of that; undefined: somebody else did, or nobody heard of it. */
  readonly endedBy: string | undefined;
}

/** A spec, and whether the tenant is to go. */
interface Wish {
  readonly tenant: Tenant;
  /** Until when it was the newest; Infinity while it is. */
  untilMs: number;
}

/** No pass goes on for longer, nor is its last call under way for longer. */
const LONGEST_PASS_MS = 180_000;

export function createSafety(options: SafetyOptions): Safety {
  const { verdicts, settings } = options;
  const byApp = new Map<string, Known>();

  /** Whether any state of the tenant that whoever acts may have read meets the condition. */
  function mayHaveRead({ past }: Known, maker: Maker, holds: (tenant: Tenant) => boolean): boolean {
    return past.some(({ tenant, untilMs }) => untilMs > maker.sinceMs && holds(tenant));
  }

  function remember(tenant: Tenant): Known {
    const name = appOf(tenant);
    const known = byApp.get(name) ?? {
      tenant,
      past: [],
      app: undefined,
      before: [],
      written: undefined,
      makings: new Map<string, Made>(),
      repeated: undefined,
      releasedBy: undefined,
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
    known.past.push({ tenant, untilMs: Infinity });
    return known;
  }

  /** What a pass may take the app for: as it is, or as Fly, whose lists lag, showed it since the pass has begun to look. */
  function shownTo(known: Known, maker: Maker): readonly (AppView | undefined)[] {
    const sinceMs = maker.sinceMs - options.listLagMs;
    // Whoever has changed it knows what may not show yet.
    const former = known.before.filter(
      ({ untilMs, endedBy }) => untilMs >= sinceMs && endedBy !== maker.process,
    );
    return [known.app, ...former.map(({ app }) => app)];
  }

  /** Whether what was made twice still shows as once to whoever made the second. */
  function seesOne({ repeated }: Known, maker: Maker): boolean {
    return (
      repeated !== undefined &&
      repeated.second.process === maker.process &&
      repeated.first.atMs + options.listLagMs >= maker.sinceMs
    );
  }

  /** S9: Ready is only said when Fly is, or by its lists seems, as that generation wants it. */
  function checkReady(known: Known, before: Tenant | undefined, maker: Maker): void {
    const { tenant } = known;
    const { status, metadata } = tenant;
    const ready = findCondition(status?.conditions, 'Ready');
    if (ready?.status !== 'True' || status === before?.status) return;
    const wish = known.past.find((one) => one.tenant.metadata.generation === ready.observedGeneration);
    // What a tag stands for is told by the status, as of now.
    const then = { ...tenant, spec: wish?.tenant.spec ?? tenant.spec };
    verdicts.check(
      'S9',
      wish !== undefined && (seesOne(known, maker) || mayAppearRight(then, shownTo(known, maker), settings)),
      () =>
        `tenant ${metadata.name} says Ready of generation ${ready.observedGeneration} and is not: ` +
        differences(then, known.app, settings).join('; '),
    );
  }

  /** S8: whoever lets go has seen that nothing is left. */
  function checkRelease(known: Known, before: Tenant | undefined): void {
    const had = before?.metadata.finalizers?.includes(FINALIZER) === true;
    const has = known.tenant.metadata.finalizers?.includes(FINALIZER) === true;
    if (!had || has || before.spec.deletionPolicy === 'Orphan') return;
    const { name, uid } = known.tenant.metadata;
    const left = [
      ...(known.app === undefined || known.app.deleting || isLeftRightly(known) ? [] : ['its app']),
      ...options.leftElsewhere(uid),
    ];
    verdicts.check('S8', left.length === 0, () => `tenant ${name} is let go and leaves ${left.join(', ')}`);
  }

  /** ONCE: what Fly would make twice is made once, unless nobody could know of the first. */
  function checkOnce(known: Known, write: Write): void {
    const { operation, target, made, app } = write;
    const kind = operation === 'App_IPAssignments_create' ? `${operation} ${target}` : operation;
    const earlier = known.makings.get(kind);
    known.makings.set(kind, made);
    const again = repeats(write, known.app);
    const excused = earlier !== undefined && mayRepeat(earlier, made, options.listLagMs);
    if (again !== undefined && excused) known.repeated = { first: earlier, second: made };
    verdicts.check('ONCE', again === undefined || excused, () => `${app}: ${again ?? ''}`);
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
        !other || known.past.some(({ tenant }) => tenant.spec.acknowledgedVolumeLoss === holder.volume),
        () => `machine ${id} of tenant ${name} mounts ${volume}, the data is on ${holder?.volume ?? ''}`,
      );
      known.mounted.add(volume);
      known.holder = { machine: id, volume };
    }
  }

  return {
    committed({ type, before, tenant, events }, maker) {
      const known = remember(tenant);
      checkTransition(verdicts, before, tenant);
      if (maker !== undefined) checkReady(known, before, maker);
      if (type === 'DELETED') known.releasedBy = maker;
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
      const { written } = known;
      const endedBy = written?.late === false && written.atMs === options.now() ? written.process : undefined;
      if (known.app !== undefined)
        known.before = [
          ...known.before.filter(({ untilMs }) => untilMs >= options.now() - LONGEST_PASS_MS),
          { app: known.app, untilMs: options.now(), endedBy },
        ];
      known.app = app;
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
      checkVolumes(known, app);
    },
    began({ app, epoch, maker }) {
      const known = byApp.get(app);
      if (known === undefined) return;
      const { name } = known.tenant.metadata;
      // Whoever has stood still gets to know of it as late as everybody else, counted from then on.
      const knowableMs = Math.max(known.pausedAtMs, maker.awakeSinceMs) + PAUSE_KNOWN_MS;
      verdicts.check('S6', options.now() <= knowableMs, () => `a write for ${name}, which is paused`);
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
      if (known === undefined) return;
      known.written = write.made;
      checkOnce(known, write);
      const destroys = DESTRUCTIVE[write.operation];
      if (destroys === undefined) return;
      const wanted = (holds: (tenant: Tenant) => boolean): boolean => mayHaveRead(known, write.made, holds);
      const target = `${write.operation} of ${write.target} of tenant ${known.tenant.metadata.name}`;
      const justified =
        wanted(({ metadata }) => metadata.deletionTimestamp !== undefined) ||
        destroys({ ...known, write, settings, wanted });
      verdicts.check('S4', justified, () => `${target}: nobody wanted that`);
      const orphaned = !wanted(
        ({ metadata, spec }) => spec.deletionPolicy !== 'Orphan' || metadata.deletionTimestamp === undefined,
      );
      verdicts.check('S5', !orphaned, () => `${target}: its policy is Orphan`);
    },
    mayBeLeft: (name) => isLeftRightly(byApp.get(name)),
  };
}

/** Whoever let go of the tenant thought that the making of its app was long over. */
function isLeftRightly({ releasedBy, makings }: Partial<Known> = {}): boolean {
  const made = makings?.get('Apps_create');
  return releasedBy !== undefined && made !== undefined && isMisled(made, releasedBy);
}

function wantsTheSame(one: Tenant, other: Tenant): boolean {
  return (
    one.metadata.generation === other.metadata.generation &&
    one.metadata.deletionTimestamp === other.metadata.deletionTimestamp
  );
}

/** What there already is of what Fly would make twice, in words. */
function repeats({ operation, target }: Write, app: AppView | undefined): string | undefined {
  if (operation === 'Volumes_create' && liveVolumes(app).length > 0) return 'a volume is made beside another';
  const isAddress = operation === 'App_IPAssignments_create' && target === 'v6';
  if (isAddress && app?.addresses.some(({ type }) => type === 'v6'))
    return 'an address is made beside another';
  return undefined;
}
