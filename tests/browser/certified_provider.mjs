// A certified OpenID provider on loopback as its authors publish it, with its own login and consent pages.
// Usage: node certified_provider.mjs PORT APP_ADDRESS
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, app] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "value-palette",
      client_secret: "a-secret-of-the-tests",
      redirect_uris: [`${app}/oauth2callback`],
      post_logout_redirect_uris: [`${app}/oauth2callback`],
    },
  ],
  cookies: { keys: ["a key of the tests"] },
  conformIdTokenClaims: false,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: `Person ${id}` }),
  }),
});
provider.listen(Number(port), "127.0.0.1");
