/**
 * How is a password set without ever showing it to the server? As the verifier that PostgreSQL would compute from it
 * (RFC 5802 with SHA-256): so it appears in no statement, hence in no log and no list of running statements.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/** What PostgreSQL itself takes; more would slow down every connection of the tenant. */
const ITERATIONS = 4_096;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** For `ALTER ROLE … PASSWORD`. Only printable ASCII, where the standard's preparation of texts changes nothing. */
export async function scramVerifier(password: string): Promise<string> {
  if (!/^[\x21-\x7e]+$/.test(password))
    throw new Error('cannot set a database password: it is not printable ASCII');
  const salt = randomBytes(SALT_BYTES);
  const salted = await promisify(pbkdf2)(password, salt, ITERATIONS, KEY_BYTES, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
