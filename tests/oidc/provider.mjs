// An OpenID provider on loopback: PORT and REDIRECT_URI come from the environment, people from its own login form.
import Provider from "oidc-provider";

const issuer = `http://127.0.0.1:${process.env.PORT}`;
const roles = { ann: ["pacs-admins"], ray: ["readers", "elsewhere"], eve: ["elsewhere"] };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "radnode",
      client_secret: "of-the-client",
      redirect_uris: [process.env.REDIRECT_URI],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
    {
      client_id: "robot",
      client_secret: "of-the-robot",
      redirect_uris: [],
      response_types: [],
      grant_types: ["client_credentials"],
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["preferred_username", "roles"] },
  conformIdTokenClaims: process.env.ROLES_IN_ID_TOKEN !== "1",
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, roles: roles[id] ?? [] }),
  }),
  extraTokenClaims: () => ({ roles: ["robots"] }),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: "api",
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: Number(process.env.TOKEN_SECONDS ?? 600),
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});

provider.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
