// Compiles every schema of the merged document in ajv's strict mode, and validates every example of a
// response or a webhook.
const Ajv = require("ajv/dist/2020");
const formats = require("ajv-formats");

const base = "https://gospablik.invalid/openapi.json";
const document = require("./openapi.json");
const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true });
formats(ajv);
ajv.addVocabulary(["components", "discriminator", "example"]);
ajv.addSchema({ $id: base, components: document.components });

const problems = [];
for (const name of Object.keys(document.components.schemas)) {
  ajv.compile({ $ref: `${base}#/components/schemas/${name}` });
}
let examples = 0;
const check = (media, where) => {
  const shown = Object.values(media.examples ?? {}).map((example) => example.value);
  if ("example" in media) shown.push(media.example);
  if (!media.schema || shown.length === 0) return;
  const validate = ajv.compile(JSON.parse(JSON.stringify(media.schema).replaceAll('"#/', `"${base}#/`)));
  for (const example of shown) {
    examples += 1;
    if (!validate(example)) problems.push(`${where}: ${ajv.errorsText(validate.errors)}`);
  }
};
for (const [path, item] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    for (const [status, response] of Object.entries(operation.responses)) {
      for (const [kind, media] of Object.entries(response.content ?? {})) {
        check(media, `${method} ${path} ${status} ${kind}`);
      }
    }
  }
}
const responses = examples;
for (const [name, item] of Object.entries(document.webhooks)) {
  check(item.post.requestBody.content["application/json"], `webhook ${name}`);
}
console.log(problems.join("\n"));
process.exit(problems.length === 0 && responses > 0 && examples > responses ? 0 : 1);
