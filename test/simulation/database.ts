/**
 * The database as a simulated process sees it: a real Postgres behind one connection, where every statement is a call
 * of the timeline that may be lost, refused or be the process's last.
 *
 * Transactions run one after the other (a statement of another process waits for the end of an open one), so that the
 * order of statements is the seed's. What two transactions do to each other on real connections is tested elsewhere.
 */
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import type { Database } from "../../api/db/database.ts";
import * as tables from "../../api/db/tables.ts";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./process.ts";

/** What Postgres may answer instead of running a statement. */
const REFUSALS = ["40001", "40P01", "53300", "57014"] as const;
const LABEL_LENGTH = 90;

const connectionLost = () =>
  Object.assign(new Error("write CONNECTION_CLOSED simulated:5432"), {
    code: "CONNECTION_CLOSED",
    errno: "CONNECTION_CLOSED",
    address: "simulated",
    port: 5432,
  });

interface OpenTransaction {
  readonly process: SimulatedProcess;
  /** False once the connection broke, or the process died. */
  connected: boolean;
  ended: boolean;
  rollingBack: boolean;
  firstError: unknown;
  savepoints: number;
}

type Run = () => PromiseLike<unknown>;

export class SimulatedDatabase {
  readonly #real: postgres.Sql;
  #open: OpenTransaction | null = null;
  #waiting: (() => void)[] = [];

  /** @param url of an empty, migrated database that nobody else uses */
  constructor(url: string) {
    this.#real = postgres(url, { max: 1, fetch_types: false, prepare: true, onnotice: () => undefined });
  }

  /** For checks and preparation: no faults, no virtual time. Not while a transaction is open. */
  get direct(): postgres.Sql {
    return this.#real;
  }

  get isBusy(): boolean {
    return this.#open !== null;
  }

  /** @param isQuick deletes rows instead of making the files anew, which costs a tenth and leaves traces on pages */
  async empty(isQuick: boolean): Promise<void> {
    if (this.#open !== null) await this.#abandon(this.#open);
    this.#waiting = [];
    const found = await this.#real<{ name: string }[]>`
      SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`;
    if (!isQuick) {
      await this.#real.unsafe(`TRUNCATE ${found.map((table) => table.name).join(", ")}`);
      return;
    }
    const deletions = found.map((table) => `DELETE FROM ${table.name};`).join(" ");
    await this.#real.unsafe(
      `SET session_replication_role = replica; ${deletions} SET session_replication_role = origin`,
    );
  }

  async close(): Promise<void> {
    await this.#real.end({ timeout: 2 });
  }

  /** The server notices that the process is gone: what it had open is rolled back. */
  async processDied(process: SimulatedProcess): Promise<void> {
    if (this.#open?.process === process) await this.#abandon(this.#open);
  }

  openFor(process: SimulatedProcess, faults: () => Faults): Database {
    const client = this.#client(process, faults, null);
    return drizzle(client, { schema: tables });
  }

  async #abandon(transaction: OpenTransaction): Promise<void> {
    transaction.connected = false;
    await this.#real.unsafe("ROLLBACK");
    this.#release(transaction);
  }

  #release(transaction: OpenTransaction): void {
    transaction.ended = true;
    this.#open = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** One statement as a call of the process. */
  #statement(
    process: SimulatedProcess,
    faults: () => Faults,
    transaction: OpenTransaction | null,
    text: string,
    run: Run,
  ): Promise<unknown> {
    if (transaction?.connected === false) return Promise.reject(connectionLost());
    const label = `sql ${text.replace(/\s+/g, " ").trim().slice(0, LABEL_LENGTH)}`;
    return process.call(
      label,
      async () => {
        if (transaction?.connected === false) throw connectionLost();
        return await run();
      },
      {
        rates: {
          lostRequest: faults().sqlLostRequest,
          lostResponse: faults().sqlLostResponse,
          refused: transaction?.rollingBack ? 0 : faults().sqlRefused,
        },
        lost: connectionLost,
        onLost: async () => {
          if (transaction !== null && !transaction.ended) await this.#abandon(transaction);
        },
        refuse: () => this.#refuse(process),
        isReady: (resume) => {
          if (this.#open === null || this.#open === transaction) return true;
          this.#waiting.push(resume);
          return false;
        },
      },
    );
  }

  async #refuse(process: SimulatedProcess): Promise<unknown> {
    const state = process.random.pick(REFUSALS);
    return await this.#real.unsafe(
      `DO $$ BEGIN RAISE EXCEPTION 'simulated refusal' USING ERRCODE = '${state}'; END $$`,
    );
  }

  #client(process: SimulatedProcess, faults: () => Faults, transaction: OpenTransaction | null): postgres.Sql {
    const statement = (text: string, run: Run) => {
      const answer = this.#statement(process, faults, transaction, text, run);
      if (transaction === null) return answer;
      return answer.catch((error: unknown) => {
        transaction.firstError ??= error;
        throw error;
      });
    };
    const real = this.#real;
    const tagged = (first: TemplateStringsArray | unknown, ...rest: unknown[]) => {
      if (!isTemplate(first)) return (real as unknown as (...all: unknown[]) => unknown)(first, ...rest);
      const query = (real as unknown as (...all: unknown[]) => PromiseLike<unknown>)(first, ...rest);
      return lazily(query, first.join("?"), statement);
    };
    const members = {
      options: real.options,
      json: real.json,
      array: real.array,
      typed: real.typed,
      unsafe: (text: string, parameters: never[] = [], options = {}) =>
        // Prepared, whatever the caller wants: it changes nothing but the time that it takes.
        lazily(real.unsafe(text, parameters, { ...options, prepare: true }), text, statement),
      begin: (first: unknown, second?: unknown) =>
        this.#begin(process, faults, typeof first === "string" ? first : "", (second ?? first) as Work),
      savepoint: (first: unknown, second?: unknown) => {
        if (transaction === null) throw new TypeError("a savepoint needs a transaction");
        return this.#savepoint(process, faults, transaction, (second ?? first) as Work);
      },
      end: async () => undefined,
    };
    return Object.assign(tagged, members) as unknown as postgres.Sql;
  }

  async #begin(process: SimulatedProcess, faults: () => Faults, options: string, work: Work): Promise<unknown> {
    const transaction: OpenTransaction = {
      process,
      connected: true,
      ended: false,
      rollingBack: false,
      firstError: undefined,
      savepoints: 0,
    };
    await this.#statement(process, faults, transaction, `BEGIN ${options}`, async () => {
      const begun = await this.#real.unsafe(`BEGIN ${options}`);
      this.#open = transaction;
      return begun;
    });
    const end = (text: string) =>
      this.#statement(process, faults, transaction, text, async () => {
        const done = await this.#real.unsafe(text);
        this.#release(transaction);
        return done;
      });
    try {
      const result = await work(this.#client(process, faults, transaction));
      if (transaction.firstError !== undefined) throw transaction.firstError;
      await end("COMMIT");
      return result;
    } catch (error) {
      transaction.rollingBack = true;
      // A connection that breaks now has rolled back as well.
      if (!transaction.ended) await end("ROLLBACK").catch(() => undefined);
      throw error;
    }
  }

  async #savepoint(
    process: SimulatedProcess,
    faults: () => Faults,
    transaction: OpenTransaction,
    work: Work,
  ): Promise<unknown> {
    const name = `s${transaction.savepoints++}`;
    const simple = (text: string) => this.#statement(process, faults, transaction, text, () => this.#real.unsafe(text));
    const before = transaction.firstError;
    await simple(`SAVEPOINT ${name}`);
    try {
      const result = await work(this.#client(process, faults, transaction));
      await simple(`RELEASE SAVEPOINT ${name}`);
      return result;
    } catch (error) {
      await simple(`ROLLBACK TO SAVEPOINT ${name}`);
      transaction.firstError = before;
      throw error;
    }
  }
}

type Work = (client: postgres.Sql) => unknown;

const isTemplate = (value: unknown): value is TemplateStringsArray => Array.isArray(value) && "raw" in value;

/** The driver's query, which runs when somebody waits for it; here, when its call takes effect. */
function lazily(query: PromiseLike<unknown>, text: string, statement: (text: string, run: Run) => Promise<unknown>) {
  let started: Promise<unknown> | undefined;
  const start = () => {
    started ??= statement(text, () => query);
    return started;
  };
  const proxy: unknown = new Proxy(query, {
    get(target, name) {
      if (name === "then" || name === "catch" || name === "finally") {
        const promise = start();
        return promise[name].bind(promise);
      }
      if (name === "execute") {
        return () => {
          start();
          return proxy;
        };
      }
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...parameters: unknown[]) => {
        const result: unknown = member.apply(target, parameters);
        return result === target ? proxy : result;
      };
    },
  });
  return proxy;
}
