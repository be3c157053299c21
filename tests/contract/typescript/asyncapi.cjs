// Checks the AsyncAPI document by the reference parser, and by the official JSON Schema of version 3.0.0.
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv");
const formats = require("ajv-formats");
const official = require("@asyncapi/specs/schemas/3.0.0.json");

async function main() {
  const text = readFileSync("asyncapi.json", "utf8");
  const { document, diagnostics } = await new Parser().parse(text);
  const problems = diagnostics.filter((one) => one.severity <= 1).map((one) => `${one.path.join("/")}: ${one.message}`);
  // The schema brings its own copy of draft 7.
  const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
  formats(ajv);
  const valid = ajv.compile(official);
  if (!valid(JSON.parse(text))) problems.push(ajv.errorsText(valid.errors));
  const broken = JSON.parse(text);
  broken.operations.sendDelivery.action = "publish";
  if (valid(broken)) problems.push("the schema accepts an action that does not exist");
  console.log(problems.join("\n"));
  console.log(`${document?.allMessages().length ?? 0} messages`);
  process.exit(problems.length === 0 ? 0 : 1);
}

main();
