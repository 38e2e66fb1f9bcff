/**
 * Which CLI is it? Three of its ages matter: E1 (December 2025), in which the two-phase deploy came, E1b (January
 * 2026), and E4 (August 2026), the last one that still buys and manages tenants. Each method of this client says in
 * which of them the CLI has it.
 */
export type Era = 'E1' | 'E1b' | 'E4';

export const ERAS: readonly Era[] = ['E1', 'E1b', 'E4'];

/** Throws when the CLI of this era has no such command: a test that calls it would prove nothing. */
export function requireEra(era: Era, eras: readonly Era[], what: string): void {
  if (!eras.includes(era)) throw new Error(`the CLI of ${era} cannot ${what}`);
}
