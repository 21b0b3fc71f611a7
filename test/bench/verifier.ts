/**
 * Our verifier against validateTransfer of @solana/pay over the corpus of payments, in turns, in one thread: from a
 * node's answer, which both get from memory, to the decision.
 */
import { createSolanaRpcFromTransport, isJsonRpcPayload, type RpcTransport } from "@solana/kit";
import { rpcChain } from "../../api/chain/rpc.ts";
import { faultyTransport } from "../../api/local/chain/faulty-transport.ts";
import { type CorpusResult, oursOf, refusalOfPay, runCorpus } from "../payments/run-corpus.ts";
import { type BenchRow, median, spread } from "./row.ts";

const ROUNDS = 9;
const REPEATS = 10;
const clock = { nowMs: () => 0, sleep: async () => undefined };

/** A node that has the answers about one transaction at hand. */
function rememberingRpc({ shop }: CorpusResult) {
  const honest = faultyTransport(shop.chain);
  const answers = new Map<string, unknown>();
  const transport: RpcTransport = async <Answer>(config: Parameters<RpcTransport>[0]): Promise<Answer> => {
    const { payload } = config;
    const { encoding } =
      (isJsonRpcPayload(payload) && ((payload.params as unknown[])[1] as { encoding?: string })) || {};
    const known = answers.get(`${encoding}`);
    if (known !== undefined) return known as Answer;
    const answer = await honest<Answer>(config);
    answers.set(`${encoding}`, answer);
    return answer;
  };
  return createSolanaRpcFromTransport(transport);
}

async function msPerTransaction(count: number, decide: (index: number) => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (let index = 0; index < count; index++) await decide(index);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / (REPEATS * count);
}

export async function benchVerifier(): Promise<BenchRow[]> {
  const nodes = (await runCorpus()).map((result) => {
    const rpc = rememberingRpc(result);
    return { result, rpc, chain: rpcChain(rpc, { clock }) };
  });
  const ours = async (index: number) => {
    const node = nodes[index];
    const transaction = await node?.chain.transaction(node.result.signature, "confirmed");
    if (node && transaction) oursOf(node.result.shop, transaction);
  };
  const theirs = async (index: number) => {
    const node = nodes[index];
    if (node) await refusalOfPay(node.result.shop, node.result.signature, node.rpc);
  };
  const figures = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    figures.ours.push(await msPerTransaction(nodes.length, ours));
    figures.theirs.push(await msPerTransaction(nodes.length, theirs));
  }
  const print = (ms: number) => ms.toFixed(3);
  const ratio = median(figures.theirs) / median(figures.ours);
  return [
    {
      subject: `payment verified, ms of CPU for each of ${nodes.length} transactions`,
      ours: spread(figures.ours, print),
      peer: `validateTransfer ${spread(figures.theirs, print)}`,
      ratio: `${ratio.toFixed(1)} × as fast`,
      goal: "≥ 1 ×",
      met: ratio >= 1,
    },
  ];
}
