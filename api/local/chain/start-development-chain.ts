import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { FOREIGN_DETAIL, isFromThisMachine } from "../is-from-this-machine.ts";
import { ChainFolder } from "./chain-folder.ts";
import type { ChainSettings } from "./chain-state.ts";
import { DevelopmentChain, supportedMethods } from "./development-chain.ts";
import { answerFaucet, FaucetRefusal } from "./faucet-request.ts";
import { answerJsonRpc, printJson } from "./json-rpc.ts";
import { Subscriptions } from "./subscriptions.ts";

export interface DevelopmentChainServerOptions extends Partial<ChainSettings> {
  /** 0 takes a free one. */
  port?: number;
  host?: string;
  /** How long a slot lasts; Solana's last 400 ms. */
  slotMs?: number;
  /** Where the chain survives the end of the process; without it, it does not. */
  dataFolder?: string;
  /** Told of faults of this server; what clients do wrong is answered to them alone. */
  onError?: (error: unknown) => void;
}

export interface DevelopmentChainServer {
  rpcUrl: string;
  /** The same port as the RPC's. */
  wsUrl: string;
  faucetUrl: string;
  usdcMint: string;
  chain: DevelopmentChain;
  close(): Promise<void>;
}

const maxBodyBytes = 1_048_576;
const maxConnections = 1_000;
/** A client that reads too slowly is disconnected before its unsent notifications take more memory than this. */
const maxUnsentBytes = 8_388_608;
const requestTimeoutMs = 30_000;
/** After a long sleep of the machine the chain does not try to make up for every slot that it missed. */
const maxSlotsAtOnce = 1_000;

const headers = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, OPTIONS",
  "access-control-allow-headers": "*",
  "access-control-max-age": "86400",
  "content-type": "application/json",
};

class BodyTooLarge extends Error {}

/**
 * Serves a development chain over HTTP and WebSocket, makes its slots by the clock, and keeps it in a folder.
 *
 * Everything that was answered to a client is in the folder by then, so it survives a kill of the process.
 */
export async function startDevelopmentChain(
  options: DevelopmentChainServerOptions = {},
): Promise<DevelopmentChainServer> {
  const { port = 0, host = "127.0.0.1", slotMs = 400, dataFolder, onError = console.error, ...settings } = options;
  const server = createServer();
  server.maxConnections = maxConnections;
  server.requestTimeout = requestTimeoutMs;
  // The port comes first: a second start on it has to fail before it touches the folder of the first.
  await listen(server, port, host);
  let folder: ChainFolder | null;
  let chain: DevelopmentChain;
  try {
    folder = dataFolder === undefined ? null : new ChainFolder(dataFolder);
    chain = openChain(folder, settings);
  } catch (error) {
    server.close();
    throw error;
  }
  server.on("request", (request, response) => {
    serve(chain, request, response, onError).catch((error: unknown) => {
      // A client that goes away in the middle of its request is no fault of ours.
      if (request.complete) onError(error);
      response.destroy();
    });
  });
  const verifyClient = ({ req }: { req: IncomingMessage }) => isAllowed(req);
  const sockets = new WebSocketServer({ server, maxPayload: maxBodyBytes, verifyClient });
  sockets.on("connection", (socket) => serveSocket(chain, socket, onError));
  const stopSlots = makeSlots(chain, folder, slotMs, onError);
  const authority = `${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
  const close = async () => {
    stopSlots();
    for (const socket of sockets.clients) socket.terminate();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    folder?.save(chain.snapshot());
    folder?.close();
  };
  let closing: Promise<void> | undefined;
  return {
    rpcUrl: `http://${authority}`,
    wsUrl: `ws://${authority}`,
    faucetUrl: `http://${authority}/faucet`,
    usdcMint: chain.usdcMint,
    chain,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function openChain(folder: ChainFolder | null, settings: Partial<ChainSettings>): DevelopmentChain {
  const saved = folder?.load() ?? null;
  const chain = new DevelopmentChain({
    genesisTimeMs: Date.now(),
    ...settings,
    ...(saved === null ? {} : { snapshot: saved.snapshot }),
  });
  for (const input of saved?.inputs ?? []) chain.repeat(input);
  if (folder !== null) {
    folder.save(chain.snapshot());
    chain.listen({ onInput: (input) => folder.append(input) });
  }
  return chain;
}

/** Advances the chain by the clock. Late timers are made up for, so that block heights keep their pace. */
function makeSlots(
  chain: DevelopmentChain,
  folder: ChainFolder | null,
  slotMs: number,
  onError: (error: unknown) => void,
): () => void {
  let dueMs = performance.now() + slotMs;
  const timer = setInterval(() => {
    try {
      const nowMs = performance.now();
      const missed = Math.min(maxSlotsAtOnce, Math.floor((nowMs - dueMs) / slotMs) + 1);
      if (missed < 1) return;
      dueMs = Math.max(dueMs + missed * slotMs, nowMs);
      for (let slot = 0; slot < missed; slot++) chain.advanceSlot(Date.now());
      if (folder?.needsSnapshot === true) folder.save(chain.snapshot());
    } catch (error) {
      onError(error);
    }
  }, slotMs);
  return () => clearInterval(timer);
}

const listen = (server: Server, port: number, host: string) =>
  new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });

async function serve(
  chain: DevelopmentChain,
  request: IncomingMessage,
  response: ServerResponse,
  onError: (error: unknown) => void,
): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://chain");
  const answer = (status: number, body?: string) => response.writeHead(status, headers).end(body);
  const refuse = (status: number, error: string) => answer(status, printJson({ error }));
  if (!isAllowed(request)) {
    refuse(403, FOREIGN_DETAIL);
  } else if (request.method === "OPTIONS") {
    answer(204);
  } else if (pathname === "/health") {
    answer(200, printJson({ status: "ok" }));
  } else if (pathname !== "/" && pathname !== "/faucet") {
    refuse(404, "There is POST / for JSON-RPC, POST /faucet, and GET / that says what this is.");
  } else if (request.method === "GET" && pathname === "/") {
    answer(200, printJson(describe(chain)));
  } else if (request.method !== "POST") {
    refuse(405, "Use POST with a JSON body.");
  } else {
    await answerPost(chain, pathname, request, answer, refuse, onError);
  }
}

/** Whoever listens on more than loopback has chosen to be reached from elsewhere. */
function isAllowed({ headers, socket }: IncomingMessage): boolean {
  const local = socket.localAddress?.replace(/^::ffff:/, "") ?? "";
  return !(local === "::1" || local.startsWith("127.")) || isFromThisMachine(headers.host, headers.origin);
}

async function answerPost(
  chain: DevelopmentChain,
  pathname: string,
  request: IncomingMessage,
  answer: (status: number, body?: string) => void,
  refuse: (status: number, error: string) => void,
  onError: (error: unknown) => void,
): Promise<void> {
  try {
    const text = await readText(request);
    if (pathname === "/faucet") {
      answer(200, printJson(answerFaucet(chain, text)));
      return;
    }
    const reply = answerJsonRpc(text, (method, params) => chain.call(method, params), onError);
    if (reply === null) answer(204);
    else answer(200, reply);
  } catch (error) {
    if (error instanceof BodyTooLarge) refuse(413, `The body has more than ${maxBodyBytes} bytes.`);
    else if (error instanceof FaucetRefusal) refuse(400, error.message);
    else throw error;
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) throw new BodyTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function serveSocket(chain: DevelopmentChain, socket: WebSocket, onError: (error: unknown) => void): void {
  const send = (text: string) => {
    if (socket.bufferedAmount > maxUnsentBytes) socket.terminate();
    else socket.send(text);
  };
  const subscriptions = new Subscriptions(chain, (notification) => send(printJson(notification)));
  const handler = (method: string, params: readonly unknown[]) =>
    Subscriptions.handles(method) ? subscriptions.call(method, params) : chain.call(method, params);
  socket.on("message", (data) => {
    const reply = answerJsonRpc(data.toString(), handler, onError);
    if (reply !== null) send(reply);
  });
  socket.on("error", onError);
  socket.on("close", () => subscriptions.close());
}

const describe = (chain: DevelopmentChain) => ({
  what: "A development chain: Solana's virtual machine and token programs in one process on this machine.",
  warning: "This is not Solana. Its SOL and USDC are worth nothing, and its keys are known to everybody.",
  usdc_mint: chain.usdcMint,
  faucet: 'POST /faucet {"address": "...", "sol": "1", "usdc": "100"}',
  slot: chain.slot,
  methods: supportedMethods,
});
