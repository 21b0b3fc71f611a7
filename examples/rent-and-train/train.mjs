/**
 * Data-parallel training of a small neural network, on as many ranks as there are (1 to 8). Plain Node, no packages.
 *
 * Each rank makes its own shard of a synthetic data set and computes gradients on it. Rank 0 averages the gradients
 * over TCP, in the order of the ranks, so that all ranks take the same step and end with the same weights, bit by bit.
 * They prove it by comparing hashes. The exit code is 0 only if the weights agree and the network has learned.
 */
import { createHash } from "node:crypto";
import { connect, createServer } from "node:net";
import { hostname } from "node:os";

const rank = Number(process.env.VOLLEY_RANK ?? 0);
const worldSize = Number(process.env.VOLLEY_WORLD_SIZE ?? 1);
const masterAddress = process.env.MASTER_ADDR ?? "127.0.0.1";
const masterPort = Number(process.env.MASTER_PORT ?? 29_500);

const STEPS = 60;
const LEARNING_RATE = 0.1;
const SHARD_SIZE = 16_384;
const HIDDEN = 16;
/** Two inputs and a bias into each hidden unit, and each hidden unit and a bias into the output. */
const WEIGHTS = HIDDEN * 3 + HIDDEN + 1;
const ACCURACY_MIN = 0.9;
const CONNECT_MS_MAX = 60_000;
const SILENCE_MS_MAX = 30_000;

/** Repeatable random numbers from 0 to 1 (a 32-bit linear congruential generator, upper bits). */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

/** Points in a square; those inside a ring belong to the class. No straight line parts them. */
function makeShard() {
  const random = randomFrom(1000 + rank);
  return Array.from({ length: SHARD_SIZE }, () => {
    const [x, y] = [random() * 4 - 2, random() * 4 - 2];
    const radius = Math.hypot(x, y);
    return { x, y, isInside: radius < 1.5 ? 1 : 0 };
  });
}

/** The same on every rank. */
function makeWeights() {
  const random = randomFrom(7);
  return Float64Array.from({ length: WEIGHTS }, () => random() * 2 - 1);
}

function hiddenOf(weights, { x, y }) {
  return Array.from({ length: HIDDEN }, (_, unit) =>
    Math.tanh(weights[unit * 3] * x + weights[unit * 3 + 1] * y + weights[unit * 3 + 2]),
  );
}

function predict(weights, hidden) {
  const sum = hidden.reduce((total, value, unit) => total + weights[HIDDEN * 3 + unit] * value, weights[WEIGHTS - 1]);
  return 1 / (1 + Math.exp(-sum));
}

/** Mean gradient of the cross-entropy over the shard; behind it the mean loss, so that both travel together. */
function gradientOf(weights, shard) {
  const result = new Float64Array(WEIGHTS + 1);
  for (const point of shard) {
    const hidden = hiddenOf(weights, point);
    const probability = predict(weights, hidden);
    const error = (probability - point.isInside) / shard.length;
    for (let unit = 0; unit < HIDDEN; unit++) {
      const back = error * weights[HIDDEN * 3 + unit] * (1 - hidden[unit] ** 2);
      result[unit * 3] += back * point.x;
      result[unit * 3 + 1] += back * point.y;
      result[unit * 3 + 2] += back;
      result[HIDDEN * 3 + unit] += error * hidden[unit];
    }
    result[WEIGHTS - 1] += error;
    const likelihood = point.isInside === 1 ? probability : 1 - probability;
    result[WEIGHTS] -= Math.log(Math.max(likelihood, 1e-12)) / shard.length;
  }
  return result;
}

function accuracyOf(weights, shard) {
  const right = shard.filter((point) => predict(weights, hiddenOf(weights, point)) > 0.5 === (point.isInside === 1));
  return right.length / shard.length;
}

/** A socket from which an exact number of bytes can be awaited. */
class Link {
  constructor(socket) {
    this.socket = socket;
    this.pieces = [];
    this.length = 0;
    this.waiting = null;
    this.failure = null;
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy(new Error("a rank fell silent")));
    socket.on("data", (piece) => {
      this.pieces.push(piece);
      this.length += piece.length;
      this.serve();
    });
    socket.on("error", (error) => this.fail(error));
    socket.on("close", () => this.fail(new Error("a rank closed its connection")));
  }

  fail(error) {
    this.failure ??= error;
    this.serve();
  }

  serve() {
    if (this.waiting === null) return;
    const { length, resolve, reject } = this.waiting;
    if (this.length >= length) {
      this.waiting = null;
      const all = Buffer.concat(this.pieces);
      this.pieces = [all.subarray(length)];
      this.length = all.length - length;
      resolve(all.subarray(0, length));
    } else if (this.failure !== null) {
      this.waiting = null;
      reject(this.failure);
    }
  }

  read(length) {
    return new Promise((resolve, reject) => {
      this.waiting = { length, resolve, reject };
      this.serve();
    });
  }

  async readNumbers(count) {
    const bytes = await this.read(count * 8);
    return Float64Array.from({ length: count }, (_, index) => bytes.readDoubleLE(index * 8));
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  writeNumbers(numbers) {
    const bytes = Buffer.alloc(numbers.length * 8);
    numbers.forEach((value, index) => {
      bytes.writeDoubleLE(value, index * 8);
    });
    this.write(bytes);
  }
}

/** Rank 0: waits for all others, each of which says its rank first. */
async function acceptRanks() {
  const links = new Map();
  const server = createServer();
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("not all ranks came in time")), CONNECT_MS_MAX);
    server.on("error", reject);
    server.on("connection", async (socket) => {
      const link = new Link(socket);
      try {
        links.set((await link.read(1)).readUInt8(0), link);
      } catch (error) {
        console.error(`a connection ended before it said its rank: ${error.message}`);
      }
      if (links.size === worldSize - 1) {
        clearTimeout(timer);
        resolve();
      }
    });
    server.listen(masterPort);
  });
  server.close();
  return Array.from({ length: worldSize - 1 }, (_, index) => links.get(index + 1));
}

function tryConnect() {
  return new Promise((resolve, reject) => {
    const socket = connect(masterPort, masterAddress);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** The others: rank 0 may start later, so they try until it listens. */
async function joinMaster() {
  const deadlineMs = Date.now() + CONNECT_MS_MAX;
  for (;;) {
    try {
      const link = new Link(await tryConnect());
      link.write(Buffer.from([rank]));
      return link;
    } catch (error) {
      if (Date.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The mean over all ranks, the same numbers on each of them. */
async function average(own, master, links) {
  if (master) {
    master.writeNumbers(own);
    return master.readNumbers(own.length);
  }
  const sum = Float64Array.from(own);
  const others = await Promise.all(links.map((link) => link.readNumbers(own.length)));
  for (const other of others) {
    for (let index = 0; index < sum.length; index++) sum[index] += other[index];
  }
  const mean = sum.map((value) => value / worldSize);
  for (const link of links) link.writeNumbers(mean);
  return mean;
}

/** Whether every rank has the same bytes. Rank 0 compares and tells the others. */
async function agree(hash, master, links) {
  if (master) {
    master.write(hash);
    return (await master.read(1)).readUInt8(0) === 1;
  }
  const hashes = await Promise.all(links.map((link) => link.read(hash.length)));
  const isSame = hashes.every((other) => hash.equals(other));
  for (const link of links) link.write(Buffer.from([isSame ? 1 : 0]));
  return isSame;
}

async function train() {
  const master = rank === 0 ? null : await joinMaster();
  const links = rank === 0 && worldSize > 1 ? await acceptRanks() : [];
  console.log(`rank ${rank} of ${worldSize} on ${hostname()}, ${SHARD_SIZE} points`);
  const shard = makeShard();
  const weights = makeWeights();
  const momentum = new Float64Array(WEIGHTS);
  const square = new Float64Array(WEIGHTS);
  for (let step = 1; step <= STEPS; step++) {
    const mean = await average(gradientOf(weights, shard), master, links);
    for (let index = 0; index < WEIGHTS; index++) {
      // Adam (Kingma and Ba, 2014, algorithm 1).
      momentum[index] = 0.9 * momentum[index] + 0.1 * mean[index];
      square[index] = 0.999 * square[index] + 0.001 * mean[index] ** 2;
      const step1 = momentum[index] / (1 - 0.9 ** step);
      const step2 = square[index] / (1 - 0.999 ** step);
      weights[index] -= (LEARNING_RATE * step1) / (Math.sqrt(step2) + 1e-8);
    }
    if (rank === 0) console.log(`step ${String(step).padStart(2)} of ${STEPS}  loss ${mean[WEIGHTS].toFixed(4)}`);
  }
  const hash = createHash("sha256").update(new Uint8Array(weights.buffer)).digest();
  const isSame = await agree(hash, master, links);
  const accuracy = accuracyOf(weights, shard);
  console.log(`rank ${rank}: accuracy ${(accuracy * 100).toFixed(1)} %, weights ${hash.toString("hex").slice(0, 16)}`);
  for (const link of [...links, ...(master ? [master] : [])]) link.socket.end();
  if (!isSame) throw new Error("the ranks ended with different weights");
  if (accuracy < ACCURACY_MIN) throw new Error(`the network has not learned: accuracy ${accuracy}`);
}

try {
  await train();
} catch (error) {
  console.error(`rank ${rank}: ${error.message}`);
  process.exit(1);
}
