/** A page to try GraphQL on, without script from elsewhere. */
import { createHash } from "node:crypto";
import type { Answer } from "../answer.ts";

const STYLE = `
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:1rem;display:grid;grid-template-columns:1fr 1fr;gap:1rem}
h1,p{grid-column:1/3;margin:0}textarea,input,pre{font:13px/1.5 ui-monospace,monospace;box-sizing:border-box;width:100%}
textarea{height:18rem}#variables{height:7rem}pre{margin:0;overflow:auto;max-height:80vh}`;

const SCRIPT = `
const part = (id) => document.getElementById(id);
part("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  if (part("secret").value !== "") headers.authorization = "Bearer " + part("secret").value;
  try {
    const body = JSON.stringify({ query: part("query").value, variables: JSON.parse(part("variables").value || "{}") });
    const answer = await fetch("/graphql", { method: "POST", headers, body });
    part("answer").textContent = JSON.stringify(await answer.json(), null, 2);
  } catch (error) {
    part("answer").textContent = String(error);
  }
});`;

const EXAMPLE = `mutation Quote($input: CreateQuoteInput!) {
  createQuote(input: $input) {
    id expiresAt total { amount } plan { rank country }
  }
}`;
const VARIABLES = '{ "input": { "gpu": "cpu", "nodes": 2, "durationSeconds": 3600 } }';

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Volley GraphQL</title><style>${STYLE}</style></head><body>
<h1>Volley GraphQL</h1><p>Every operation of <a href="/docs">the reference</a> is a field here. Subscriptions stream from <code>/graphql/stream</code>.</p>
<form id="form"><textarea id="query" aria-label="Query" spellcheck="false">${EXAMPLE}</textarea><textarea id="variables" aria-label="Variables" spellcheck="false">${VARIABLES}</textarea>
<input id="secret" aria-label="Secret" placeholder="secret of a cluster" autocomplete="off"><button>Run</button></form><pre id="answer"></pre>
<script>${SCRIPT}</script></body></html>`;

export function sandboxPage(): Answer {
  const hash = createHash("sha256").update(SCRIPT).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; connect-src 'self'; frame-ancestors 'none'`;
  const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": policy };
  return { status: 200, body: PAGE, headers };
}
