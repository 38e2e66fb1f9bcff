/**
 * How does kubectl tell how long ago something was? In one or two units, the coarser the longer: `90s`, `5m12s`,
 * `3h20m`, `2d3h`, `4y120d`. The steps are those of k8s.io/apimachinery/pkg/util/duration, HumanDuration.
 */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A year of 365 days, as there. */
const YEAR = 365 * DAY;

interface Unit {
  readonly letter: string;
  readonly seconds: number;
}

const S: Unit = { letter: 's', seconds: 1 };
const M: Unit = { letter: 'm', seconds: MINUTE };
const H: Unit = { letter: 'h', seconds: HOUR };
const D: Unit = { letter: 'd', seconds: DAY };
const Y: Unit = { letter: 'y', seconds: YEAR };

/** Which units tell a duration below `below` seconds. */
const STEPS: readonly { readonly below: number; readonly units: readonly Unit[] }[] = [
  { below: 2 * MINUTE, units: [S] },
  { below: 10 * MINUTE, units: [M, S] },
  { below: 3 * HOUR, units: [M] },
  { below: 8 * HOUR, units: [H, M] },
  { below: 2 * DAY, units: [H] },
  { below: 8 * DAY, units: [D, H] },
  { below: 2 * YEAR, units: [D] },
  { below: 8 * YEAR, units: [Y, D] },
  { below: Infinity, units: [Y] },
];

/** Clocks may disagree by a second; what lies further ahead is `<invalid>`. */
export function humanDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds <= 0) return '0s';
  const { units } = STEPS.find(({ below }) => seconds < below) ?? { units: [Y] };
  let rest = seconds;
  const parts = units.map(({ letter, seconds: unit }) => {
    const count = Math.floor(rest / unit);
    rest %= unit;
    return { text: `${count}${letter}`, count };
  });
  return parts
    .filter(({ count }, index) => index === 0 || count > 0)
    .map(({ text }) => text)
    .join('');
}

/** The time between a timestamp and now; `<unknown>` when there is no timestamp. */
export function humanAge(timestamp: string | undefined, now: number): string {
  return timestamp === undefined ? '<unknown>' : humanDuration(now - Date.parse(timestamp));
}
