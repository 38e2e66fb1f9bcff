import { expect, test } from 'vitest';
import { credentialsOf } from '../../src/fly/token.ts';

const cases = [
  { name: 'a macaroon is sent as FlyV1', token: 'fm2_abc', authorization: 'FlyV1 fm2_abc' },
  {
    name: 'the printed form of a macaroon carries its scheme word',
    token: 'FlyV1 fm2_abc',
    authorization: 'FlyV1 fm2_abc',
  },
  {
    name: 'older macaroons count as macaroons',
    token: 'fm1r_a,fm1a_b',
    authorization: 'FlyV1 fm1r_a,fm1a_b',
  },
  { name: 'a session token is a Bearer token', token: 'fo1_abc', authorization: 'Bearer fo1_abc' },
  {
    name: 'a scheme word that does not fit is corrected',
    token: 'Bearer fm2_abc',
    authorization: 'FlyV1 fm2_abc',
  },
  {
    name: 'beside macaroons nothing else is sent',
    token: 'fo1_x, fm2_a,fm2_b',
    authorization: 'FlyV1 fm2_a,fm2_b',
  },
  {
    name: 'white space around a token from a file is dropped',
    token: ' fm2_abc\n',
    authorization: 'FlyV1 fm2_abc',
  },
];

test.each(cases)('$name', ({ token, authorization }) => {
  expect(credentialsOf(token).authorization).toBe(authorization);
});

test('the registry takes the token without its scheme word as the password of user x', () => {
  const basic = credentialsOf('FlyV1 fm2_a,fm2_b').basic.replace(/^Basic /, '');
  expect(Buffer.from(basic, 'base64').toString()).toBe('x:fm2_a,fm2_b');
});
