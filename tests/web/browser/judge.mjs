// What MDN HTTP Observatory and csp_evaluator say about pages of this machine.
//
// Reads a list of {host, http, https, path} from standard input, writes one of {score, failed,
// policies, findings}. Observatory's own `scan` takes no ports; this is the same sum over the same
// tests. Its list of preloaded hosts is fetched when it is installed, which is left out: none is.

import fs from "node:fs";
import { createRequire } from "node:module";

const read = fs.readFileSync;
fs.readFileSync = (path, ...rest) =>
  String(path).endsWith("hsts-preload.json") ? "{}" : read(path, ...rest);

const observatory = "@mdn/mdn-http-observatory/src";
const { retrieve } = await import(`${observatory}/retriever/retriever.js`);
const { ALL_TESTS } = await import(`${observatory}/constants.js`);
const { getScoreModifier } = await import(`${observatory}/grader/grader.js`);
const { MINIMUM_SCORE_FOR_EXTRA_CREDIT } = await import(`${observatory}/grader/charts.js`);
const require = createRequire(import.meta.url);
const { CspEvaluator } = require("csp_evaluator");
const { CspParser } = require("csp_evaluator/dist/parser.js");

async function judge({ host, http, https, path }) {
  const requests = await retrieve(host, { httpPort: http, httpsPort: https, path });
  const results = ALL_TESTS.map((test) => test(requests));
  const modifiers = results.map((one) => getScoreModifier(one.result));
  const base = 100 + modifiers.filter((one) => one < 0).reduce((a, b) => a + b, 0);
  const all = 100 + modifiers.reduce((a, b) => a + b, 0);
  const policies = [requests.responses.https.headers["content-security-policy"]].flat();
  return {
    status: requests.responses.https.status,
    score: base >= MINIMUM_SCORE_FOR_EXTRA_CREDIT ? all : base,
    failed: results.filter((one) => !one.pass).map((one) => one.result),
    policies,
    findings: policies.flatMap((policy) =>
      new CspEvaluator(new CspParser(policy ?? "").csp)
        .evaluate()
        .map(({ directive, value, description }) => ({ directive, value, description })),
    ),
  };
}

const found = [];
for (const page of JSON.parse(read(0, "utf8"))) found.push(await judge(page));
process.stdout.write(JSON.stringify(found));
process.exit(0); // sockets are kept open
