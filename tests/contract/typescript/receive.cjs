// Gives a delivery to the receiver in the guide, as it is and with a changed byte.
const { verify, describe, responseTo } = require("./compiled/receiver.js");

const { secret, headers, body } = JSON.parse(process.argv[2]);
let changed = "accepted";
try {
  verify(secret, headers, body.replace("1024", "1025"));
} catch (error) {
  changed = error.constructor.name;
}
const delivery = verify(secret, headers, body);
console.log(JSON.stringify({ described: describe(delivery), response: responseTo(delivery), changed }));
