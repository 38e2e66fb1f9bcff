import { describe, expect, test } from 'vitest';
import { oneLine, readRefusal } from '../../src/fly/refusal.ts';

describe('what Fly said', () => {
  test('comes from the error field', () => {
    expect(readRefusal(404, '{"error":"not_found: machine not found"}')).toEqual({
      status: 404,
      text: 'not_found: machine not found',
      genuine: true,
    });
  });

  test('comes with its machine-readable status', () => {
    const body = '{"error":"could not find a candidate host","status":"insufficient_capacity"}';
    expect(readRefusal(422, body)).toMatchObject({ code: 'insufficient_capacity' });
  });

  test('comes from the message field first, as in a failed envelope', () => {
    const body = '{"status":"error","message":"lease not found","error":"other"}';
    expect(readRefusal(400, body).text).toBe('lease not found');
  });

  test('comes from the first error of a registry', () => {
    const body = '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}';
    expect(readRefusal(404, body).text).toBe('MANIFEST_UNKNOWN: manifest unknown');
  });

  test('may be plain text', () => {
    expect(readRefusal(500, 'upstream\n connect error')).toEqual({
      status: 500,
      text: 'upstream connect error',
      genuine: true,
    });
  });

  test.each(['', '[]', '{}', '"text"', 'null'])('may be nothing: %j', (body) => {
    expect(readRefusal(500, body)).toMatchObject({ status: 500, genuine: true });
    expect(readRefusal(500, body).code).toBeUndefined();
  });

  test.each(['<html><body>Bad gateway</body></html>', '404 page not found\n'])(
    'is not believed to be of Fly when a server that does not know the route answers: %j',
    (body) => expect(readRefusal(404, body)).toEqual({ status: 404, text: '', genuine: false }),
  );
});

describe('a line for people is the same for the same cause', () => {
  const cases = [
    {
      name: 'the end of a lease is left out',
      text: 'machine ID 1857aa00bb11cc lease currently held by a@tokens.fly.io, expires at 2026-01-01T00:02:00Z',
      line: 'machine ID 1857aa00bb11cc lease currently held by a@tokens.fly.io',
    },
    {
      name: 'ULIDs differ each time',
      text: 'request 01KD3ZQ0V7M8X9ABCDEFGHJKMN-yyz failed on 01KD3ZQ0V7M8X9ABCDEFGHJKMN',
      line: 'request <id> failed on <id>',
    },
    {
      name: 'UUIDs differ each time',
      text: 'trace 3f2a9c1e-0d3b-4c55-9d5e-2f6f7a8b9c0d lost',
      line: 'trace <id> lost',
    },
    { name: 'times differ each time', text: 'at 2026-01-01T00:02:00.123+01:00 no', line: 'at <time> no' },
    {
      name: 'the memory in use of an organisation differs each time',
      text: 'organization acme is using 51200 MB of memory in iad which is over the allowed quota',
      line: 'organization acme is using <n> MB of memory in iad which is over the allowed quota',
    },
    { name: 'lines and control characters become spaces', text: 'a\r\n\tb\u0007c', line: 'a b c' },
    { name: 'tokens are never repeated', text: 'bad fm2_lJPECAA== token', line: 'bad <token> token' },
    {
      name: 'an echoed authorization header is never repeated',
      text: 'got Bearer abcdefghijklmnopqrstuvwxyz!',
      line: 'got <token>',
    },
    {
      name: 'ids of machines, volumes and digests stay, for they say what it is about',
      text: `vol_0a1b2c3d4e5f6g7h of 1857aa00bb11cc wants sha256:${'a'.repeat(64)}`,
      line: `vol_0a1b2c3d4e5f6g7h of 1857aa00bb11cc wants sha256:${'a'.repeat(64)}`,
    },
  ];

  test.each(cases)('$name', ({ text, line }) => expect(oneLine(text)).toBe(line));

  test('and not longer than 300 characters', () => {
    expect(oneLine('x'.repeat(10_000))).toHaveLength(300);
  });
});
