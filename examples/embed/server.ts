/** The shop's own HTTP surface: a page, and JSON for programs. Its customers never see Volley. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { APIError } from "@volley/sdk";
import type { Jobs, Order } from "./jobs.ts";

const BODY_BYTES_MAX = 16_384;
const MINUTES_MAX = 60;
const COMMAND_CHARACTERS_MAX = 4000;

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>Compute by the minute</title>
<style>body { font: 1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto } pre { background: #eee; padding: 1rem }</style>
<h1>Compute by the minute</h1>
<form><input name="command" value="echo hello from $(hostname)" size="40"> <button>Run</button></form>
<pre></pre>
<script type="module">
  const [form, out] = [document.querySelector("form"), document.querySelector("pre")];
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ gpu: "cpu", minutes: 5, command: form.elements.command.value });
    let job = await (await fetch("/jobs", { method: "POST", body })).json();
    while (job.status === "starting" || job.status === "running") {
      out.textContent = job.status + "\\n" + job.output;
      await new Promise((resolve) => setTimeout(resolve, 500));
      job = await (await fetch("/jobs/" + job.id)).json();
    }
    out.textContent = [job.error, job.output, job.price && job.price + " USDC"].filter(Boolean).join("\\n");
  });
</script>
`;

/** What is wrong with a request, for its sender. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function readOrder(request: IncomingMessage): Promise<Order> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) throw new Refusal(413, "The order is too long.");
    chunks.push(chunk);
  }
  let value: Partial<Record<keyof Order, unknown>> | null;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new Refusal(400, "The order is not JSON.");
  }
  const { gpu, minutes, command } = value ?? {};
  if (typeof gpu !== "string") throw new Refusal(400, "gpu must name a GPU model.");
  if (typeof minutes !== "number" || !Number.isInteger(minutes) || minutes < 1 || minutes > MINUTES_MAX) {
    throw new Refusal(400, `minutes must be a whole number from 1 to ${MINUTES_MAX}.`);
  }
  if (typeof command !== "string" || command === "" || command.length > COMMAND_CHARACTERS_MAX) {
    throw new Refusal(400, `command must be text of 1 to ${COMMAND_CHARACTERS_MAX} characters.`);
  }
  return { gpu, minutes, command };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function handle(jobs: Jobs, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = "/" } = request;
  if (method === "GET" && url === "/") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(PAGE);
  } else if (method === "POST" && url === "/jobs") {
    const job = await jobs.start(await readOrder(request));
    if (job === null) throw new Refusal(503, "All our machines are busy; try again in a minute.");
    answer(response, 201, job);
  } else if (method === "GET" && url.startsWith("/jobs/")) {
    const job = jobs.get(url.slice("/jobs/".length));
    if (job === undefined) throw new Refusal(404, "No such job.");
    answer(response, 200, job);
  } else {
    throw new Refusal(404, "No such page.");
  }
}

/** The shop's answer to a fault. What Volley says about a customer's wish is passed on, such as an unknown GPU. */
function answerError(response: ServerResponse, error: unknown): void {
  if (error instanceof Refusal) {
    answer(response, error.status, { error: error.message });
  } else if (error instanceof APIError && error.status < 500) {
    answer(response, 422, { error: error.message });
  } else {
    console.error(error);
    answer(response, 500, { error: "Something failed in the shop." });
  }
}

export function createShop(jobs: Jobs): Server {
  return createServer((request, response) => {
    handle(jobs, request, response).catch((error: unknown) => answerError(response, error));
  });
}
