/**
 * How does Fly say no? A status, one line of text, and sometimes a machine-readable word. The texts are part of
 * the wire: clients tell refusals apart by them. Those that several files need stand here.
 */

/** Thrown by whatever carries a call out; becomes the answer `{"error": message, "status": word}`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly word: 'unknown' | 'insufficient_capacity' | 'volume_placement_capacity' | 'name_taken' | undefined;

  constructor(status: number, message: string, word?: Refusal['word']) {
    super(message);
    this.status = status;
    this.word = word;
  }
}

export function notFound(
  thing: 'app' | 'machine' | 'volume' | 'certificate' | 'secret' | 'lease' | 'ip',
): Refusal {
  return new Refusal(404, `not_found: ${thing} not found`);
}

export function invalid(cause: string): Refusal {
  return new Refusal(400, `invalid_argument: ${cause}`);
}
