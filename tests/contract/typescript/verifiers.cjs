// Prints what npm's `standardwebhooks` and `svix` say of each delivery in verifiers.json: whether it is accepted.
const { readFileSync } = require("node:fs");
const standard = require("standardwebhooks");
const svix = require("svix");

const libraries = { standardwebhooks: standard, svix };
const verdicts = JSON.parse(readFileSync("verifiers.json", "utf8")).map(({ secret, headers, body, received_at }) => {
  Date.now = () => received_at * 1000; // both compare the timestamp with it
  return Object.fromEntries(
    Object.entries(libraries).map(([name, { Webhook, WebhookVerificationError }]) => {
      try {
        new Webhook(secret).verify(body, headers);
        return [name, true];
      } catch (error) {
        if (!(error instanceof WebhookVerificationError)) throw error;
        return [name, false];
      }
    }),
  );
});
console.log(JSON.stringify(verdicts));
