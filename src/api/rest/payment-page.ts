/**
 * What does a browser show while somebody pays? A page with nothing but Paddle's own script, which reads the
 * transaction from the address (`_ptxn`) and opens the payment over it.
 * https://developer.paddle.com/paddlejs/overview
 */

/** The page, and the policy that lets it run Paddle's script and no other. */
export function paymentPage(options: {
  /** Paddle's token for browsers: no secret. */
  readonly clientToken: string;
  readonly environment: string;
  /** Where the browser goes once it is paid. */
  readonly returnUrl: string;
  readonly nonce: string;
}): { readonly html: string; readonly policy: string } {
  const { clientToken, environment, returnUrl, nonce } = options;
  const sandbox = environment === 'production' ? '' : `Paddle.Environment.set('sandbox');`;
  const settings = inScript({ token: clientToken, checkout: { settings: { successUrl: returnUrl } } });
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Payment</title>
<script nonce="${nonce}" src="https://cdn.paddle.com/paddle/v2/paddle.js"></script>
<script nonce="${nonce}">${sandbox}Paddle.Initialize(${settings});</script>
<p>The payment opens in a moment.</p>
</html>
`;
  return {
    html,
    policy: `script-src 'nonce-${nonce}' https://*.paddle.com; object-src 'none'; base-uri 'none'`,
  };
}

/** JSON that cannot end the script that it stands in. */
function inScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}
