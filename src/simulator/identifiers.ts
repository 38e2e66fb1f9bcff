/**
 * What do Fly's identifiers look like? Each has Fly's own form, and carries the world's sequence number, so
 * that no two are ever the same whatever the generator draws.
 */
import { nextRandom, type Seeded } from './random.ts';

/** Whatever hands identifiers out. */
export interface Issuer extends Seeded {
  /** Count of the identifiers handed out so far. */
  sequence: number;
}

const HEX = '0123456789abcdef';
const LOWER = '0123456789abcdefghijklmnopqrstuvwxyz';
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

function draw(issuer: Issuer, alphabet: string, length: number): string {
  let text = '';
  for (let index = 0; index < length; index++) {
    text += alphabet.charAt(Math.floor(nextRandom(issuer) * alphabet.length));
  }
  return text;
}

function encode(value: number, alphabet: string, length: number): string {
  let text = '';
  let rest = value;
  for (let index = 0; index < length; index++) {
    text = alphabet.charAt(rest % alphabet.length) + text;
    rest = Math.floor(rest / alphabet.length);
  }
  return text;
}

/** 14 hexadecimal digits, as in `1857aa00bb11cc`. */
export function machineId(issuer: Issuer): string {
  issuer.sequence += 1;
  // Multiplying by an odd number modulo a power of two never maps two numbers to one.
  const scattered = Math.imul(issuer.sequence, 0x9e3779b1) >>> 0;
  return draw(issuer, HEX, 6) + encode(scattered, HEX, 8);
}

/** `vol_` and 16 lowercase letters and digits. */
export function volumeId(issuer: Issuer): string {
  return `vol_${opaqueId(issuer)}`;
}

/** 16 lowercase letters and digits: apps, and whatever else needs a name nobody reads. */
export function opaqueId(issuer: Issuer): string {
  issuer.sequence += 1;
  return draw(issuer, LOWER, 10) + encode(issuer.sequence, LOWER, 6);
}

/** 12 hexadecimal digits, the form of a lease's nonce. */
export function nonce(issuer: Issuer): string {
  issuer.sequence += 1;
  return draw(issuer, HEX, 4) + encode(issuer.sequence, HEX, 8);
}

/**
 * 26 characters that sort by time: machine versions, events, requests. Later ones are greater even within
 * one millisecond, which `from_event_id` relies on.
 */
export function ulid(issuer: Issuer, now: number): string {
  issuer.sequence += 1;
  return encode(now, CROCKFORD, 10) + encode(issuer.sequence, CROCKFORD, 7) + draw(issuer, CROCKFORD, 9);
}

/** An address in a 6PN private network. */
export function privateIp(issuer: Issuer): string {
  issuer.sequence += 1;
  const [high, low] = [(issuer.sequence >>> 16) & 0xffff, issuer.sequence & 0xffff];
  return `fdaa:1:${draw(issuer, HEX, 4)}:a7b:${draw(issuer, HEX, 4)}:${high.toString(16)}:${low.toString(16)}:2`;
}
