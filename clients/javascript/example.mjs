// Signs somebody up, finds them again by their e-mail address, and writes notes to wherever they live.
//
//   DOMICILE_URL=http://127.0.0.1:7700 DOMICILE_TOKEN=... node example.mjs SUBJECT EMAIL COUNTRY [--until-moved]
import { randomUUID } from "node:crypto";
import { Domicile } from "./domicile.mjs";

const [subject, email, country, ...flags] = process.argv.slice(2);
const { DOMICILE_URL, DOMICILE_TOKEN, DOMICILE_SERVICE: service } = process.env;
const directory = new Domicile(DOMICILE_URL, DOMICILE_TOKEN, { service });

// Sign-up: the name is kept, the home is chosen, the rows are written there, the name is theirs.
const attempt = randomUUID();
await directory.claim("reserve", "email", email, { subject, attempt });
const home = await directory.signUp(subject, country);
// ... here: BEGIN; select domicile.sign_up(subject, epoch); INSERT the rows ...
await directory.claim("commit", "email", email, { subject, attempt });
// ... here: COMMIT; where it fails: directory.claim("release", ..., { subject, attempt }) ...
console.log(`signed up at ${home.region}, epoch ${home.epoch}`);

// Login, anywhere: the name says where they live.
console.log(`found at ${(await directory.claim("resolve", "email", email)).region}`);

// Writes one note; the application answers 421 where the writer has moved, before any effect.
const note = async ({ endpoint }) => {
  const answer = await fetch(`${endpoint}/notes/${encodeURIComponent(subject)}`, { method: "POST", body: "hello" });
  return { status: answer.status, text: await answer.text() };
};

const regions = new Set();
for (let number = 1; number < 1000; number++) {
  const { status, text } = await directory.atHome(subject, note, (answer) => answer.status === 421);
  if (status !== 200) throw new Error(`${status} ${text}`);
  regions.add((await directory.home(subject)).region);
  console.log(`note ${number}: ${text}`);
  if (!flags.includes("--until-moved") || regions.size > 1) break;
  await new Promise((done) => setTimeout(done, 50));
}
